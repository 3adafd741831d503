"""`errata edit`: hand in corrections and follow them until they are applied."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from service.commands.client import Client, client
from service.commands.output import Exit, JsonOption, err, fail, out, print_json, print_table

EDITS_PER_REQUEST = 200
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
        bool, typer.Option("--chat", help="Through the model's chat template.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            metavar="FILE",
            help="Edits as a JSON list or as JSON lines, instead of PROMPT and TARGET_NEW.",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the edits until they are applied.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Correct what the model says."""
    one = {
        "prompt": prompt,
        "target_new": target_new,
        "subject": subject,
        "paraphrases": paraphrase or None,
        "editor": editor,
        "format": "chat" if chat else None,
    }
    given = {name: value for name, value in one.items() if value is not None}
    if file is not None and not given:
        edits = _read(file)
    elif file is None and {"prompt", "target_new"} <= given.keys():
        edits = [given]
    else:
        raise typer.BadParameter("give PROMPT and TARGET_NEW, or --file and neither")
    with client() as server:
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


def _read(file: Path) -> list[Any]:
    """The edits of a file: a list, `{"edits": [...]}`, one edit, or one on each line."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} can't be read: {error}", Exit.REFUSED)
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        return _read_lines(file, text, str(error))
    edits = whole.get("edits", [whole]) if isinstance(whole, dict) else whole
    if not isinstance(edits, list) or not edits:
        fail(f"{file} holds no edits", Exit.REFUSED)
    return edits


def _read_lines(file: Path, text: str, why_not_json: str) -> list[Any]:
    edits = []
    # Not `splitlines`: it also splits at characters that JSON allows within a string.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                edits.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                if not edits:
                    fail(f"{file} is not JSON: {why_not_json}", Exit.REFUSED)
                fail(f"{file}, line {number}, is not JSON: {error}", Exit.REFUSED)
    if not edits:
        fail(f"{file} holds no edits", Exit.REFUSED)
    return edits


def _hand_in(server: Client, edits: list[Any]) -> list[dict[str, Any]]:
    queued: list[dict[str, Any]] = []
    for start in range(0, len(edits), EDITS_PER_REQUEST):
        try:
            body = {"edits": edits[start : start + EDITS_PER_REQUEST]}
            queued += server.post("/edits", body)["edits"]
        except typer.Exit:
            if queued:
                # The server counts within a request.
                err.print(
                    f"the file's first {start} edits are queued ({_span(queued)}); "
                    "edits[0] is the one after them",
                    soft_wrap=True,
                )
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
        out.print(", ".join(f"{count} {status}" for status, count in counts.items()))
    shown = settled if len(settled) == 1 else [e for e in settled if e["status"] != "applied"]
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
                _share(one["probability_before"]),
                _share(one["probability_after"]),
                "; ".join(filter(None, (one["error"] or one["note"], *one.get("warnings", ())))),
            )
            for one in shown
        ],
    )


def _span(edits: list[dict[str, Any]]) -> str:
    first, last = edits[0]["id"], edits[-1]["id"]
    return f"edit {first}" if first == last else f"edits {first} to {last}"


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"
