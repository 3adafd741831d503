"""What a change of history does to single batches and edits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.domain.versions import Active


@dataclass(frozen=True)
class Members:
    """Batches, and edits of these and of others, by id."""

    batch_ids: tuple[int, ...] = ()
    edit_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Effect:
    """Whose state changes, and how."""

    rolled_back: Members = Members()
    restored: Members = Members()
    one_by_one: tuple[int, ...] = ()  # those of these edits whose batch stays at work


def effect_of(before: Active, after: Active, members: Mapping[int, Sequence[int]]) -> Effect:
    """What changes between two lists of active batches; `members` are the edits of all batches that
    are not the same in both.
    """
    old, new = ({batch.id: batch for batch in active} for active in (before, after))
    gone, come, alone = [], [], []
    for number in [*old, *(number for number in new if number not in old)]:
        was, now = old.get(number), new.get(number)
        if was == now:
            continue
        held = set() if was is None else set(members[number]) - was.without
        holds = set() if now is None else set(members[number]) - now.without
        gone += sorted(held - holds)
        come += sorted(holds - held)
        if was is not None and now is not None:
            alone += sorted(held ^ holds)
    return Effect(
        Members(tuple(number for number in old if number not in new), tuple(gone)),
        Members(tuple(number for number in new if number not in old), tuple(come)),
        tuple(alone),
    )
