"""`errata`: the command line. `serve`, `keys` and `db` work on this machine; all other commands
talk HTTP to a running server.
"""

from typing import Annotated

import typer

from service import __version__
from service.commands import ask, db, edit, keys, log, serve

app = typer.Typer(
    help="An editing server for language models. Commands that talk to a running server read "
    "ERRATA_URL (http://127.0.0.1:8000) and ERRATA_API_KEY.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(help=serve.settings_help())(serve.serve)
for command in (edit.edit, ask.generate, ask.compare, log.log, log.show, log.rollback, log.restore):
    app.command()(command)
app.add_typer(keys.app, name="keys")
app.add_typer(db.app, name="db")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"errata {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The root command only takes --version."""


def main() -> None:
    app()
