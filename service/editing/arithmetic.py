"""Numbers the arithmetics by which insertions are computed. An editor records its own, so that a
batch is replayed as it was made.
"""

from enum import IntEnum


class Arithmetic(IntEnum):
    """Revisions, oldest first.

    Another arithmetic gives other bits. A rollback that replayed a batch by a newer one would not
    give the state of a history in which the batch undone never ran.
    """

    RIDGED = 1  # of batches that record none: every C_0 gets a ridge, all factors are float32
    AS_NEEDED = 2  # a ridge, and factors in float64, only where the change would be off without


CURRENT = Arithmetic.AS_NEEDED  # what new batches are made by
