"""`errata edit`: hand in corrections and follow them until they are applied."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from service.commands.client import Client, Exit, JsonOption, client, err, fail, out, print_json

EDITS_PER_REQUEST = 200
WAIT_S = 30


def edit(
    prompt: Annotated[str | None, typer.Argument(help="What the model is asked.")] = None,
    target_new: Annotated[str | None, typer.Argument(help="What it should say.")] = None,
    subject: Annotated[str | None, typer.Option(help="A span of the prompt.")] = None,
    paraphrase: Annotated[
        list[str] | None, typer.Option(help="Another way to ask; may be repeated.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="A JSON or JSONL file of edits instead.", dir_okay=False)
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the edits until they are applied.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Correct what the model says after a prompt, or all corrections of a file."""
    if file is not None and prompt is None:
        edits = _read(file)
    elif file is None and prompt is not None and target_new is not None:
        one = {
            "prompt": prompt,
            "target_new": target_new,
            "subject": subject,
            "paraphrases": paraphrase,
        }
        edits = [{name: value for name, value in one.items() if value is not None}]
    else:
        raise typer.BadParameter("give PROMPT and TARGET_NEW, or --file")
    with client() as server:
        queued = []
        for start in range(0, len(edits), EDITS_PER_REQUEST):
            body = {"edits": edits[start : start + EDITS_PER_REQUEST]}
            queued += server.post("/edits", body)["edits"]
        settled = _follow(server, queued) if wait else queued
    if as_json:
        print_json({"edits": settled})
    elif wait:
        _print(settled)
    else:
        out.print(f"queued: edits {queued[0]['id']} to {queued[-1]['id']}")
    if any(one["status"] == "failed" for one in settled):
        raise typer.Exit(Exit.REFUSED)


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} can't be read: {error}", Exit.REFUSED)
    try:
        whole = json.loads(text)
    except ValueError:
        return _read_lines(file, text)
    edits = whole.get("edits", [whole]) if isinstance(whole, dict) else whole
    if not isinstance(edits, list) or not edits:
        fail(f"{file} holds no edits", Exit.REFUSED)
    return edits


def _read_lines(file: Path, text: str) -> list[dict[str, Any]]:
    edits = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                edits.append(json.loads(line))
            except ValueError as error:
                fail(f"{file}, line {number}, is not JSON: {error}", Exit.REFUSED)
    return edits


def _follow(server: Client, queued: list[dict[str, Any]]) -> list[dict[str, Any]]:
    settled = []
    with Progress(console=err, transient=True) as progress:
        for one in progress.track(queued, description="applying"):
            while True:
                found = server.get(f"/edits/{one['id']}", wait=WAIT_S)
                if found["status"] not in ("queued", "applying"):
                    break
            settled.append(found)
    return settled


def _print(settled: list[dict[str, Any]]) -> None:
    if len(settled) > 1:
        counts = Counter(one["status"] for one in settled)
        out.print(", ".join(f"{count} {status}" for status, count in counts.items()))
    shown = settled if len(settled) == 1 else [e for e in settled if e["status"] != "applied"]
    if not shown:
        return
    table = Table("edit", "status", "version", "target", "probability before", "after", "note")
    for one in shown:
        table.add_row(
            str(one["id"]),
            one["status"],
            _or_dash(one["version"]),
            one["target_new"],
            _share(one["probability_before"]),
            _share(one["probability_after"]),
            one["error"] or one["note"] or "",
        )
    out.print(table)


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
