"""`errata db`: the database's schema."""

import typer

from service.commands.local import or_fail
from service.commands.output import out
from service.settings import load_settings
from service.storage.database import Database, make_folder

app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Look after the database."""


@app.command()
def upgrade() -> None:
    """Bring the schema to the newest revision; does nothing if it is there."""
    with or_fail():
        url = load_settings().resolved_database_url
        make_folder(url)
        database = Database(url)
        before = database.revision()
        database.upgrade()
        after = database.revision()
        database.close()
    out.print(f"schema {after}" if before == after else f"schema {before or 'none'} -> {after}")
