"""`errata keys`: the keys in this server's database."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from service.commands.client import Exit, JsonOption, fail, out, print_json
from service.domain.keys import ApiKey, Scope
from service.errors import NotFoundError, StartupError
from service.settings import load_settings
from service.storage.database import open_database
from service.storage.keys import KeyRing, new_secret

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


def _ring() -> KeyRing:
    try:
        settings = load_settings()
        return KeyRing(open_database(settings.resolved_database_url))
    except StartupError as error:
        fail(str(error), Exit.REFUSED)


@app.command()
def create(
    scope: Annotated[Scope, typer.Option(help="What the key may do.")],
    name: Annotated[str, typer.Option(help="Whose it is.", max=100)] = "unnamed",
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, this once."""
    secret = new_secret()
    key = _ring().add(name, scope, secret)
    if as_json:
        print_json({**_fields(key), "key": secret})
    else:
        out.print(secret, highlight=False, soft_wrap=True)


@app.command("list")
def list_keys(as_json: JsonOption = False) -> None:
    """List the keys; the secrets themselves are not stored."""
    keys = [_fields(key) for key in _ring().all()]
    if as_json:
        print_json({"keys": keys})
        return
    table = Table("id", "name", "scope", "begins with", "created at", "revoked at")
    for key in keys:
        table.add_row(*(escape(str(value or "")) for value in key.values()))
    out.print(table)


@app.command()
def revoke(key_id: Annotated[int, typer.Argument(min=1)], as_json: JsonOption = False) -> None:
    """Revoke a key: it opens nothing from now on."""
    try:
        key = _ring().revoke(key_id)
    except NotFoundError as error:
        fail(str(error), Exit.REFUSED)
    if as_json:
        print_json(_fields(key))
    else:
        out.print(f"key {key.id} is revoked")


def _fields(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "scope": key.scope,
        "hint": key.hint,
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(timespec="seconds"),
    }
