"""Who may apply edits: one server at a time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lease:
    """The right to apply edits, for as long as it is renewed. Whatever it writes is checked against
    the token (Kleppmann 2016, "How to do distributed locking"): a holder that was paused and
    overtaken is refused.
    """

    holder: str
    token: int  # of two holders' the later one's is higher

    def __str__(self) -> str:
        return f"{self.holder}#{self.token}"
