"""`errata log`, `show`, `rollback` and `restore`: look at history and change it."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from service.commands.client import client
from service.commands.output import JsonOption, out, print_json, print_table

Reason = Annotated[str, typer.Option(help="Why; kept in the log.", metavar="TEXT")]
ExpectedVersion = Annotated[
    int | None,
    typer.Option(min=0, metavar="VERSION", help="Refuse if the log is at another version."),
]
PAGE = 1_000


class Kind(StrEnum):
    EDIT = "edit"
    BATCH = "batch"
    VERSION = "version"


PATHS = {Kind.EDIT: "/edits", Kind.BATCH: "/batches", Kind.VERSION: "/versions"}


def log(as_json: JsonOption = False) -> None:
    """List the versions, oldest first."""
    versions: list[dict[str, Any]] = []
    after: int | None = -1
    with client() as server:
        while after is not None:
            page = server.get("/versions", after=after, limit=PAGE)
            versions += page["versions"]
            after = page["next"]
    if as_json:
        print_json({"versions": versions})
        return
    print_table(
        ["version", "kind", "batches", "actor", "reason", "checksum", "created at"],
        [
            (
                version["version"],
                version["kind"],
                ", ".join(map(str, version["batch_ids"])),
                version["actor"],
                version["reason"],
                version["checksum"][:12],
                version["created_at"][:19].replace("T", " "),
            )
            for version in versions
        ],
    )


def show(
    kind: Annotated[Kind, typer.Argument(help="What to show.")],
    number: Annotated[int, typer.Argument(min=0, metavar="NUMBER", help="Its id.")],
    as_json: JsonOption = False,
) -> None:
    """Show all that is known of an edit, a batch or a version."""
    with client() as server:
        found = server.get(f"{PATHS[kind]}/{number}")
    if as_json:
        print_json(found)
        return
    print_table([], [(name, _cell(value)) for name, value in found.items()])


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def rollback(
    reason: Reason,
    batch: Annotated[
        int | None, typer.Argument(min=1, metavar="BATCH", help="The batch to undo.")
    ] = None,
    to_version: Annotated[
        int | None,
        typer.Option(min=0, metavar="VERSION", help="Undo everything after this version instead."),
    ] = None,
    expected_version: ExpectedVersion = None,
    as_json: JsonOption = False,
) -> None:
    """Undo one batch, or everything after a version."""
    if (batch is None) == (to_version is None):
        raise typer.BadParameter("give a batch or --to-version")
    path = "/admin/rollback" if batch is None else f"/admin/batches/{batch}/rollback"
    _change(path, {"reason": reason, "version": to_version}, expected_version, as_json)


def restore(
    batch: Annotated[int, typer.Argument(min=1, metavar="BATCH", help="The batch to put back.")],
    reason: Reason,
    expected_version: ExpectedVersion = None,
    as_json: JsonOption = False,
) -> None:
    """Put a rolled-back batch at the end of history again."""
    _change(f"/admin/batches/{batch}/restore", {"reason": reason}, expected_version, as_json)


def _change(path: str, body: dict[str, Any], expected_version: int | None, as_json: bool) -> None:
    with client() as server:
        version = server.post(path, {**body, "expected_version": expected_version})
    if as_json:
        print_json(version)
    else:
        out.print(f"version {version['version']} serves, checksum {version['checksum'][:12]}")
