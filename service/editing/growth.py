"""How the entries of an overlay grow from one version to the next: codebooks' and entity books'."""

from collections.abc import Iterable, Sequence
from typing import Any

from service.errors import ArtifactFaultError


def metrics_of(known: int, now: int, written: Sequence[int]) -> dict[str, Any]:
    """As fields of `BatchMetrics`, where a batch wrote the entries `written` and made `now` of
    `known` ones.
    """
    added = now - known
    return {"entries": now, "entries_added": added, "entries_changed": len(written) - added}


def latest(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Returns, by edit, the latest of the others that it is paired with."""
    found: dict[int, int] = {}
    for edit, other in pairs:
        if edit != other:
            found[edit] = max(other, found.get(edit, other))
    return found


def entries_over(known: int, written: Sequence[int]) -> int:
    """How many there are once the entries `written`, in ascending order, lie over `known` ones.
    Raises `ArtifactFaultError` where new ones leave a gap.
    """
    added = sum(entry >= known for entry in written)
    # They ascend: the last one tells whether all are there.
    if added and written[-1] != known + added - 1:
        raise ArtifactFaultError("rows.index", f"leaves a gap behind its parent's {known} entries")
    return known + added
