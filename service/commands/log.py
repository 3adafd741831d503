"""`errata log`, `show`, `rollback` and `restore`: look at history and change it."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from service.commands.client import client
from service.commands.output import JsonOption, moment, out, print_json, print_table
from service.commands.reports import print_reports

Reason = Annotated[str, typer.Option(help="Why; kept in the log.", metavar="TEXT")]
ExpectedVersion = Annotated[
    int | None,
    typer.Option(min=0, metavar="VERSION", help="Refuse if the log is at another version."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what would change.")]
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
                    _changed(version),
                    version["actor"],
                    version["reason"],
                    version["checksum"][:12],
                    moment(version["created_at"]),
                )
                for version in versions
            ],
        )


def _changed(version: dict[str, Any]) -> str:
    """The batches that a version added or took out, and the edits."""
    edits = (f"edit {edit}" for edit in version["edit_ids"])
    return ", ".join([*map(str, version["batch_ids"]), *edits])


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
        # In tables of their own.
        report = found.pop("report", None)
        probes = found.get("changed_probes")
        if probes:
            found["changed_probes"] = len(probes)
        print_table([], [(name, _cell(value)) for name, value in found.items()])
        if report:
            print_reports([(number, report)])
        if probes:
            _print_probes(probes)


def _print_probes(changed: list[dict[str, Any]]) -> None:
    columns = ["prompt", "format", "expect", "before", "after"]
    print_table(
        [*columns, "broken"],
        [(*(one[name] for name in columns), "yes" if one["broken"] else "no") for one in changed],
    )


def _cell(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    return json.dumps(value, ensure_ascii=False)


def rollback(
    reason: Reason,
    batch: Annotated[
        int | None, typer.Argument(min=1, metavar="BATCH", help="The batch to undo.")
    ] = None,
    edit: Annotated[
        int | None,
        typer.Option(min=1, metavar="ID", help="Take this edit out of its batch instead."),
    ] = None,
    to_version: Annotated[
        int | None,
        typer.Option(min=0, metavar="VERSION", help="Undo everything after this version instead."),
    ] = None,
    expected_version: ExpectedVersion = None,
    dry_run: DryRun = False,
    as_json: JsonOption = False,
) -> None:
    """Undo one batch, one edit, or everything after a version."""
    if [batch, edit, to_version].count(None) != 2:
        raise typer.BadParameter("give a batch, --edit or --to-version")
    path = "/admin/rollback"
    if batch is not None:
        path = f"/admin/batches/{batch}/rollback"
    elif edit is not None:
        path = f"/admin/edits/{edit}/rollback"
    _change(path, {"reason": reason, "version": to_version}, expected_version, dry_run, as_json)


def restore(
    batch: Annotated[int, typer.Argument(min=1, metavar="BATCH", help="The batch to put back.")],
    reason: Reason,
    expected_version: ExpectedVersion = None,
    dry_run: DryRun = False,
    as_json: JsonOption = False,
) -> None:
    """Put a rolled-back batch at the end of history again, or back the edits that one lacks."""
    path = f"/admin/batches/{batch}/restore"
    _change(path, {"reason": reason}, expected_version, dry_run, as_json)


def repair(
    reason: Reason,
    expected_version: ExpectedVersion = None,
    dry_run: DryRun = False,
    as_json: JsonOption = False,
) -> None:
    """Insert the edits of an old log anew, so that each given phrasing has an entry of its own.

    Earlier releases let an edit's paraphrases lie on the very edge of its entry, where rounding
    decides whether they are answered. Makes a new version; nothing is computed by gradient steps.
    """
    _change("/admin/repair", {"reason": reason}, expected_version, dry_run, as_json)


def _change(
    path: str, body: dict[str, Any], expected_version: int | None, dry_run: bool, as_json: bool
) -> None:
    with client() as server:
        answer = server.post(
            f"{path}?dry_run=true" if dry_run else path,
            {**body, "expected_version": expected_version},
        )
        if as_json:
            print_json(answer)
        elif dry_run:
            _print_preview(answer)
        else:
            _print_change(answer, server.get("/version")["version"])


def _print_change(made: dict[str, Any], serving: int) -> None:
    """`made` is the version that changed history: an earlier one, if there was nothing to do."""
    if made["version"] == serving:
        out.print(f"version {serving} serves, checksum {made['checksum'][:12]}")
    else:
        out.print(f"version {made['version']} did it, and version {serving} serves")


def _print_preview(preview: dict[str, Any]) -> None:
    if not preview["changes"]:
        out.print(f"nothing would change: version {preview['version']} did it")
        return
    out.print(f"version {preview['version']} would serve, checksum {preview['checksum'][:12]}")
    sides = (("rolled back", preview["rolled_back"]), ("restored", preview["restored"]))
    print_table(
        ["", "batches", "edits"],
        [(name, _numbers(side["batch_ids"]), _numbers(side["edit_ids"])) for name, side in sides],
    )
    print_table(
        ["edit", "prompt", "now", "after", "differs"],
        [
            (
                one["edit_id"],
                one["prompt"],
                one["now"],
                one["after"],
                "yes" if one["differs"] else "no",
            )
            for one in preview["comparisons"]
        ],
    )


def _numbers(ids: list[int]) -> str:
    return ", ".join(map(str, ids))
