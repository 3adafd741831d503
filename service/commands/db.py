"""`errata db`: the database's schema."""

from contextlib import closing

import typer

from service.commands.local import or_fail
from service.commands.output import Exit, fail, out, print_table
from service.settings import load_settings
from service.storage.database import Database, make_folder
from service.storage.schema import counts, faults, shown

app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Look after the database."""


@app.command()
def show() -> None:
    """Show which database it is, its schema and what it holds."""
    with or_fail():
        url = load_settings().resolved_database_url
        with closing(Database(url)) as database:
            rows = [("database", shown(url)), ("schema", database.revision() or "none")]
            if database.is_current():
                rows += [(name, str(count)) for name, count in counts(database).items()]
    print_table([], rows)


@app.command()
def check() -> None:
    """Check that the schema is the newest and what the tables need; 1 is returned if it is not."""
    with or_fail(), closing(Database(load_settings().resolved_database_url)) as database:
        found = faults(database)
    if found:
        fail("; ".join(found), Exit.REFUSED)
    out.print("the schema is right")


@app.command()
def upgrade() -> None:
    """Bring the schema to the newest revision; does nothing if it is there."""
    with or_fail():
        url = load_settings().resolved_database_url
        make_folder(url)
        with closing(Database(url)) as database:
            before = database.revision()
            database.upgrade()
            after = database.revision()
    out.print(f"schema {after}" if before == after else f"schema {before or 'none'} -> {after}")
