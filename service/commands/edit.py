"""`errata edit`: hand in corrections and follow them until they are applied."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from service.commands.client import Client, client
from service.commands.dry_edits import try_edits
from service.commands.edit_sets import FORMS, SkipBadOption, edit_set, of_edits
from service.commands.given import Given, requests_of
from service.commands.output import Exit, JsonOption, err, out, print_json, print_table, visible
from service.commands.reports import share
from service.evaluation.datasets import Subject
from service.evaluation.datasets.bodies import body_of

WAIT_S = 30


def edit(
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="What the model is asked.")
    ] = None,
    target_new: Annotated[
        str | None, typer.Argument(metavar="TARGET_NEW", help="What it should say.")
    ] = None,
    subject: Annotated[str | None, typer.Option(metavar="TEXT", help="A span of PROMPT.")] = None,
    paraphrase: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Another way to ask; may be repeated."),
    ] = None,
    editor: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which editor; default: the server's.")
    ] = None,
    chat: Annotated[
        bool | None,
        typer.Option(
            "--chat/--plain",
            help="Only through the model's chat template, or only as plain text; default: both, "
            "where the model has a template.",
        ),
    ] = None,
    joint: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What goes between PROMPT and TARGET_NEW: a space, or nothing; default: as it "
            "would be written.",
        ),
    ] = None,
    continues: Annotated[
        bool,
        typer.Option("--continue", help="In a chat, the answer goes on after TARGET_NEW."),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Fail, and leave no trace, where a phrasing is missed or a neighbour's answer "
            "changes; with --file, for each of its edits.",
        ),
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            metavar="FILE",
            help=f"Edits, instead of PROMPT and TARGET_NEW. {FORMS}",
        ),
    ] = None,
    skip_bad: SkipBadOption = False,
    wait: Annotated[bool, typer.Option(help="Follow the edits until they are applied.")] = True,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Store nothing; tell what the edits would do. Those of a file are tried in "
            "batches, each by itself over the current version.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Correct what the model says."""
    one = {
        "prompt": prompt,
        "target_new": target_new,
        "subject": subject,
        "paraphrases": paraphrase or None,
        "editor": editor,
        "format": None if chat is None else "chat" if chat else "plain",
        "joint": joint,
        "continue": continues or None,
    }
    given = {name: value for name, value in one.items() if value is not None}
    if file is not None and not given:
        edits = _read(file, skip_bad)
    elif file is None and {"prompt", "target_new"} <= given.keys() and not skip_bad:
        edits = [Given(given)]
    else:
        raise typer.BadParameter("give PROMPT and TARGET_NEW, or --file and neither")
    if strict:
        edits = [replace(one, body={**one.body, "strict": True}) for one in edits]
    with client() as server:
        if dry_run:
            try_edits(server, edits, as_json=as_json)
            return
        queued = _hand_in(server, edits)
        settled = _follow(server, queued) if wait else queued
        if as_json:
            print_json({"edits": settled})
        elif wait:
            _print(settled)
        else:
            out.print(f"queued: {_span(queued)}")
        if any(one["status"] == "failed" for one in settled):
            raise typer.Exit(Exit.REFUSED)


def _read(file: Path, skip_bad: bool) -> list[Given]:
    found = edit_set(
        file, skip_bad=skip_bad, subject=Subject.SPAN, beyond="kept in the edits' metadata"
    )
    given, left_out = [], Counter[str]()
    for record in found.records:
        body, not_taken = body_of(record)
        given.append(Given(body, str(record.place)))
        left_out.update(not_taken)
    if left_out:
        err.print(visible(f"{file}: left out, for its size: {of_edits(left_out)}"), soft_wrap=True)
    return given


def _hand_in(server: Client, edits: list[Given]) -> list[dict[str, Any]]:
    queued: list[dict[str, Any]] = []
    for some in requests_of(edits):
        try:
            queued += server.post("/edits", {"edits": [one.body for one in some]})["edits"]
        except typer.Exit:
            if some[0].place:
                # The server counts within a request.
                before = f"{len(queued)} edits are queued ({_span(queued)}); " if queued else ""
                err.print(visible(f"{before}edits[0] is {some[0].place}"), soft_wrap=True)
            raise
    return queued


def _follow(server: Client, queued: list[dict[str, Any]]) -> list[dict[str, Any]]:
    settled = []
    # Into a file it would write an empty line.
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("applying", total=len(queued))
        for one in queued:
            while True:
                found = server.get(f"/edits/{one['id']}", wait=WAIT_S)
                if found["status"] not in ("queued", "applying"):
                    break
            settled.append(found)
            progress.advance(task)
    return settled


def _print(settled: list[dict[str, Any]]) -> None:
    if len(settled) > 1:
        counts = Counter(one["status"] for one in settled)
        told = [f"{count} {status}" for status, count in counts.items()]
        unverified = sum(one["verified"] is False for one in settled)
        if unverified:
            told.append(f"{unverified} not verified")
        out.print(", ".join(told))
    told_of = [e for e in settled if e["status"] != "applied" or e["verified"] is False]
    shown = settled if len(settled) == 1 else told_of
    if not shown:
        return
    print_table(
        ["edit", "status", "version", "target", "probability before", "after", "note"],
        [
            (
                one["id"],
                one["status"],
                one["version"],
                one["target_new"],
                share(one["probability_before"]),
                share(one["probability_after"]),
                "; ".join(filter(None, (one["error"] or one["note"], *one.get("warnings", ())))),
            )
            for one in shown
        ],
    )


def _span(edits: list[dict[str, Any]]) -> str:
    first, last = edits[0]["id"], edits[-1]["id"]
    return f"edit {first}" if first == last else f"edits {first} to {last}"
