"""The keys that a log names as owners of its edits, in a database that has other keys."""

import re

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.domain.keys import Scope
from service.errors import ArchiveError
from service.storage.sequences import go_on_after
from service.storage.tables import ApiKeyRow, SubmissionRow

OWNER = re.compile(r"key:(\d{1,18})", re.ASCII)


def reserve_owners(session: Session) -> None:
    """Makes sure that no key of this database is taken for one that the log names: those to come
    get ids after them. Raises `ArchiveError` if one that is there already would be shown edits that
    are not its own.
    """
    actors = session.scalars(select(SubmissionRow.actor).distinct())
    named = {int(found[1]) for actor in actors if (found := OWNER.fullmatch(actor))}
    keys = select(ApiKeyRow.id).where(ApiKeyRow.scope != Scope.ADMIN).order_by(ApiKeyRow.id)
    for key_id in session.scalars(keys):
        if key_id in named:
            raise ArchiveError(
                f"key {key_id}, made here before, would own edits of the log's 'key:{key_id}': "
                "import into a database without keys, and make them then"
            )
    last = session.scalar(select(func.max(ApiKeyRow.id))) or 0
    if max(named, default=0) > last:
        go_on_after(session, ApiKeyRow, max(named))
