"""`errata keys`: the keys in this server's database."""

import contextlib
from collections.abc import Iterator
from typing import Annotated

import typer

from service.commands.local import opened, or_fail
from service.commands.output import Exit, JsonOption, fail, out, print_json, print_table
from service.domain.keys import ApiKey, Scope
from service.errors import NotFoundError
from service.settings import load_settings
from service.storage.keys import KeyRing, new_secret

LONGEST_NAME = 100
LARGEST_ID = 2**63 - 1  # of the database

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


@contextlib.contextmanager
def _ring() -> Iterator[KeyRing]:
    with or_fail():
        settings = load_settings()
    with opened(settings) as database:
        yield KeyRing(database)


@app.command()
def create(
    scope: Annotated[
        Scope,
        typer.Option(
            help="What the key may do: ask the model; also hand in edits and read the log; "
            "also change history."
        ),
    ],
    name: Annotated[str, typer.Option(help="Whose it is.", metavar="NAME")] = "unnamed",
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, this once."""
    if not (name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
        fail(f"a key's name has 1 to {LONGEST_NAME} printable characters", Exit.REFUSED)
    secret = new_secret()
    with _ring() as ring:
        key = ring.add(name, scope, secret)
    if as_json:
        print_json({**_fields(key), "key": secret})
    else:
        out.print(secret, soft_wrap=True)


@app.command("list")
def list_keys(as_json: JsonOption = False) -> None:
    """List the keys; the secrets themselves are not stored."""
    with _ring() as ring:
        keys = [_fields(key) for key in ring.all()]
    if as_json:
        print_json({"keys": keys})
    else:
        headers = ["id", "name", "scope", "begins with", "created at", "revoked at"]
        print_table(headers, [list(key.values()) for key in keys])


@app.command()
def revoke(
    key_id: Annotated[
        int,
        typer.Argument(min=1, max=LARGEST_ID, metavar="ID", help="As `errata keys list` has it."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Revoke a key: it opens nothing from now on."""
    with _ring() as ring:
        try:
            key = ring.revoke(key_id)
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
