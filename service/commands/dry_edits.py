"""`errata edit --dry-run`: what edits would do, batch by batch."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from service.commands.client import Client
from service.commands.given import Given, requests_of
from service.commands.output import Exit, err, out, print_json, print_table, visible
from service.commands.reports import print_reports

TIMEOUT_S = 3_600.0  # of a batch of a large model


def try_edits(server: Client, edits: Sequence[Given], *, as_json: bool) -> None:
    """Prints what would become of each. Ends the command if one would fail."""
    tried = []
    for batch in _batches(server.get("/version"), edits):
        body = {"edits": [one.body for one in batch]}
        try:
            tried.append(server.post("/edits?dry_run=true", body, timeout_s=TIMEOUT_S))
        except typer.Exit:
            if batch[0].place:  # the server counts within a request
                err.print(visible(f"edits[0] is {batch[0].place}"), soft_wrap=True)
            raise
        if not as_json:
            _print(tried[-1], batch)
    if as_json:
        print_json({"batches": tried})
    if any(edit["status"] == "failed" for run in tried for edit in run["edits"]):
        raise typer.Exit(Exit.REFUSED)


def _batches(about: dict[str, Any], edits: Sequence[Given]) -> Iterator[list[Given]]:
    """Yields edits of one editor with one set of hyperparameters, as many as a batch takes."""
    kinds: dict[str, list[Given]] = {}
    for one in edits:
        kind = [one.body.get("editor") or about["editor"], one.body.get("hyperparameters") or {}]
        kinds.setdefault(json.dumps(kind, sort_keys=True), []).append(one)
    for of_kind in kinds.values():
        yield from requests_of(of_kind, about["max_batch"])


def _print(run: dict[str, Any], batch: Sequence[Given]) -> None:
    counts = Counter(edit["status"] for edit in run["edits"])
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    out.print(f"over version {run['version']} would be: {told}")
    print_table(
        ["edit", "status", "prompt", "target", "note"],
        [
            (
                edit["index"],
                edit["status"],
                given.body.get("prompt"),
                given.body.get("target_new"),
                "; ".join(filter(None, (edit["error"] or edit["note"], *edit["warnings"]))),
            )
            for edit, given in zip(run["edits"], batch, strict=True)
        ],
    )
    reported = [(edit["index"], edit["report"]) for edit in run["edits"] if edit["report"]]
    if reported:
        print_reports(reported)
    if run["changed_probes"]:
        out.print(f"probes that it would change: {len(run['changed_probes'])}")
