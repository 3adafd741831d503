"""`errata keys`: the keys in this server's database."""

import contextlib
import getpass
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from service.commands.durations import duration
from service.commands.local import opened, or_fail
from service.commands.output import Exit, JsonOption, fail, moment, out, print_json, print_table
from service.domain.keys import ApiKey, Scope
from service.errors import ConflictError, NotFoundError
from service.settings import load_settings
from service.storage.keys import KeyRing, new_secret

LONGEST_NAME = 100
LONGEST_ACTOR = 64  # of the database
LARGEST_ID = 2**63 - 1  # of the database

app = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)

KeyId = Annotated[
    int, typer.Argument(min=1, max=LARGEST_ID, metavar="ID", help="As `errata keys list` has it.")
]
Expires = Annotated[
    str | None,
    typer.Option(metavar="SPAN", help="For how long it opens anything, as in 90d."),
]
Grace = Annotated[
    str,
    typer.Option(metavar="SPAN", help="For how long the old secret goes on."),
]


@contextlib.contextmanager
def _ring() -> Iterator[KeyRing]:
    with or_fail():
        settings = load_settings()
    with opened(settings) as database:
        try:
            yield KeyRing(database)
        except (NotFoundError, ConflictError) as error:
            fail(str(error), Exit.REFUSED)


def _is_configured() -> bool:
    with or_fail():
        return load_settings().configured_admin_key is not None


def _operator() -> str:
    """Who types this, as key changes are remembered by."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        name = str(os.getuid())
    return f"user:{name}"[:LONGEST_ACTOR]


@app.command()
def create(
    scope: Annotated[
        Scope,
        typer.Option(
            help="What the key may do: ask the model; also hand in edits and read the log; "
            "also change history, and see everybody's edits."
        ),
    ],
    name: Annotated[str, typer.Option(help="Whose it is.", metavar="NAME")] = "unnamed",
    expires: Expires = None,
    if_none: Annotated[
        bool,
        typer.Option("--if-none", help="Only if no key opens anything yet and none is configured."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, this once."""
    if not (name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
        fail(f"a key's name has 1 to {LONGEST_NAME} printable characters", Exit.REFUSED)
    secret = new_secret()
    lifetime = _lifetime(expires)
    if if_none and _is_configured():
        return
    with _ring() as ring:
        until = None if lifetime is None else datetime.now(UTC) + lifetime
        add = ring.add_first if if_none else ring.add
        key = add(name, scope, secret, expires_at=until, actor=_operator())
    if key is not None:
        _print_secret(key, secret, as_json)


@app.command("list")
def list_keys(as_json: JsonOption = False) -> None:
    """List the keys; the secrets themselves are not stored."""
    with _ring() as ring:
        keys = [_fields(key) for key in ring.all()]
    if as_json:
        print_json({"keys": keys})
        return
    words = ("id", "owner", "name", "scope", "hint", "state")
    times = ("expires_at", "last_used_at")
    headers = ["id", "owner", "name", "scope", "begins with", "state", "expires at", "last use"]
    print_table(
        headers,
        [
            [key[word] for word in words] + [at and moment(str(at)) for at in map(key.get, times)]
            for key in keys
        ],
    )


@app.command()
def rotate(
    key_id: KeyId,
    grace: Grace = "24h",
    expires: Expires = None,
    as_json: JsonOption = False,
) -> None:
    """Make another secret of the same name, scope and owner, and print it, this once. The old one
    goes on for the grace. The new one lasts as long as the old one was made for.
    """
    secret, lifetime, end = new_secret(), _lifetime(expires), duration("--grace", grace)
    with _ring() as ring:
        key, _ = ring.rotate(key_id, secret, grace=end, lifetime=lifetime, actor=_operator())
    _print_secret(key, secret, as_json)


@app.command()
def revoke(key_id: KeyId, as_json: JsonOption = False) -> None:
    """Revoke a key: it opens nothing from now on."""
    with _ring() as ring:
        key = ring.revoke(key_id, actor=_operator())
    if as_json:
        print_json(_fields(key))
    else:
        out.print(f"key {key.id} is revoked")


def _lifetime(expires: str | None) -> timedelta | None:
    return None if expires is None else duration("--expires", expires, timedelta(seconds=1))


def _print_secret(key: ApiKey, secret: str, as_json: bool) -> None:
    if as_json:
        print_json({**_fields(key), "key": secret})
    else:
        out.print(secret, soft_wrap=True)


def _fields(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "owner": key.actor,
        "name": key.name,
        "scope": key.scope,
        "hint": key.hint,
        "state": key.state(datetime.now(UTC)),
        "created_at": _at(key.created_at),
        "expires_at": _at(key.expires_at),
        "last_used_at": _at(key.last_used_at),
        "revoked_at": _at(key.revoked_at),
    }


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
