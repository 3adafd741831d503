"""Edits that give a place another target than an edit at work does."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.domain.edits import Place, places_of
from service.domain.spellings import spellings_of
from service.domain.states import EditState
from service.domain.versions import active_now
from service.storage.database import parts
from service.storage.rows import version_of
from service.storage.tables import EditRow, VersionRow


def link(session: Session, rows: Sequence[EditRow]) -> None:
    """Notes in each of these edits, which are not applied yet, the latest of the edits at work that
    gives the same place another target.
    """
    phrasings = {text for row in rows for text in (row.prompt, *row.paraphrases)}
    prompts = {text for prompt in phrasings for text in (prompt, *spellings_of(prompt))}
    columns = (EditRow.id, EditRow.prompt, EditRow.format, EditRow.target_new)
    query = select(*columns, EditRow.batch_id, EditRow.status)
    earlier: defaultdict[Place, list[Any]] = defaultdict(list)
    for part in parts(prompts):
        for found in session.execute(query.where(EditRow.prompt.in_(part))):
            # Not asked of the database, which would look through all that are applied.
            if found.status == EditState.APPLIED:
                for acted in places_of([found.prompt], found.format):
                    earlier[acted].append(found)
    others = {
        row: [
            one
            for acted in places_of([row.prompt, *row.paraphrases], row.format)
            for one in earlier[acted]
            if one.target_new != row.target_new
        ]
        for row in rows
    }
    # The log is read only where there is more than one to choose from.
    place = _places(session) if any(len(some) > 1 for some in others.values()) else {}
    for row, some in others.items():
        if some:
            row.supersedes = max(some, key=lambda one: (place.get(one.batch_id, 0), one.id)).id


def batch_of_edits(session: Session, edit_ids: Collection[int]) -> dict[int, int]:
    """The batch of each of these edits, by the edit's id."""
    query = select(EditRow.id, EditRow.batch_id)
    return {
        edit_id: batch_id
        for part in parts(edit_ids)
        for edit_id, batch_id in session.execute(query.where(EditRow.id.in_(part)))
        if batch_id
    }


def _places(session: Session) -> dict[int, int]:
    """Where each batch at work stands in history. A restored one stands at its end."""
    rows = session.scalars(select(VersionRow).order_by(VersionRow.version))
    log = [version_of(row) for row in rows]
    batch_of = batch_of_edits(session, [edit for version in log for edit in version.edit_ids])
    return {batch.id: place for place, batch in enumerate(active_now(log, batch_of))}
