"""Edit sets in the forms in which the field keeps them, read into one.

`reader` reads a file: `content` takes its JSON apart, `shapes` says which form a record has, a file
for each form says what is in it, and `bodies` writes a record as POST /edits takes it.
"""

from service.evaluation.datasets.reader import EditSet, Subject, read_edit_set, read_records
from service.evaluation.datasets.record import DatasetError, Fault, Neighbor, Record

__all__ = [
    "DatasetError",
    "EditSet",
    "Fault",
    "Neighbor",
    "Record",
    "Subject",
    "read_edit_set",
    "read_records",
]
