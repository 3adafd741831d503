"""How commands that work on this machine begin; what stops them is one line."""

import contextlib
from collections.abc import Iterator

from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from service.commands.output import Exit, fail
from service.errors import InvalidRequestError, StartupError
from service.settings import Settings
from service.storage.database import Database, open_database


@contextlib.contextmanager
def or_fail() -> Iterator[None]:
    """Ends the command with one line for what its operator can put right: settings, files, the
    database.
    """
    try:
        yield
    except (StartupError, InvalidRequestError, OSError, SQLAlchemyError, CommandError) as error:
        # SQLAlchemy adds lines: the statement, and a link.
        fail(str(error).partition("\n")[0], Exit.REFUSED)


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database that the settings name, with the newest schema."""
    with or_fail():
        database = open_database(settings.resolved_database_url)
    try:
        yield database
    finally:
        database.close()
