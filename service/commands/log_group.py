"""`errata log` alone lists the versions; its subcommands check the log, repair it and move it."""

import typer

from service.commands import archive, log, verify
from service.commands.output import JsonOption

app = typer.Typer(invoke_without_command=True)


@app.callback()
def group(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the versions, oldest first; or check, repair, export and import the log."""
    if context.invoked_subcommand is None:
        log.log(as_json)


app.command()(verify.verify)
app.command()(log.repair)
app.command()(archive.export)
app.command("import")(archive.import_)
