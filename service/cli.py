"""`errata`: the command line. `serve`, `keys`, `db`, `stats`, `calibrate`, `export-model`,
`import-gguf` and what is below `log` work on this machine; all other commands talk HTTP to a
running server.
"""

from typing import Annotated

import typer

from service import __version__
from service.commands import (
    ask,
    calibrate,
    db,
    edit,
    evaluate,
    events,
    export_model,
    import_gguf,
    keys,
    log,
    log_group,
    serve,
    stats,
)
from service.commands.client import DEFAULT_URL

app = typer.Typer(
    help="An editing server for language models.\n\n`serve`, `keys`, `db`, `stats`, `calibrate`, "
    "`export-model`, `log verify`, `log export` and `log import` work on this machine, with the "
    "settings that `errata serve --help` lists; `import-gguf` works on files alone; "
    "`evaluate` starts a server for itself, unless told otherwise. All other commands talk to a "
    f"running server: they read ERRATA_URL (default: {DEFAULT_URL}) and ERRATA_API_KEY.\n\n"
    "Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 no server answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(help=serve.settings_help(), short_help="Serve the model.")(serve.serve)
for command in (
    edit.edit,
    ask.generate,
    ask.compare,
    log.show,
    events.events,
    log.rollback,
    log.restore,
    evaluate.evaluate,
    calibrate.calibrate,
    stats.stats,
    export_model.export_model,
    import_gguf.import_gguf,
):
    app.command()(command)
app.add_typer(log_group.app, name="log")
app.add_typer(keys.app, name="keys")
app.add_typer(db.app, name="db")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"errata {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """The root command only takes --version."""


def main() -> None:
    app()
