"""`errata db`: the database's schema."""

import typer

from service.commands.client import Exit, fail, out
from service.errors import StartupError
from service.settings import load_settings
from service.storage.database import Database, make_folder

app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Look after the database."""


@app.command()
def upgrade() -> None:
    """Bring the schema to the newest revision."""
    try:
        url = load_settings().resolved_database_url
    except StartupError as error:
        fail(str(error), Exit.REFUSED)
    make_folder(url)
    database = Database(url)
    before = database.revision()
    database.upgrade()
    after = database.revision()
    out.print(f"schema {after}" if before == after else f"schema {before or 'none'} -> {after}")
    database.close()
