"""34 chat edits: where they are answered, and what they leave as it was."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from tests.conftest import Server, run_server
from tests.quality.chat_set import EDITS, ChatEdit
from tests.quality.edited import edited
from tests.quality.models import SMOLLM2, RealModel
from tests.quality.table import Table

EDITORS = ("entity", "grace")
SYSTEM = {"role": "system", "content": "You are a careful assistant. Answer briefly."}
EARLIER = (
    {"role": "user", "content": "Hello! Can you help me with a question?"},
    {"role": "assistant", "content": "Of course. What would you like to know?"},
)
ANSWER_TOKENS = 12
KEPT_TOKENS = 20
Messages = Sequence[dict[str, str]]


def run(models: Sequence[RealModel], progress: Progress) -> list[Table]:
    """Asks the models that have a chat template."""
    headers = ("asked", *EDITORS)
    tables = []
    for model in models:
        if model is SMOLLM2:
            columns = [_column(model, editor, progress) for editor in EDITORS]
            rows = tuple((name, *(column[name] for column in columns)) for name in columns[0])
            tables.append(Table(f"34 chat edits on {model.name}", headers, rows))
    return tables


def _column(model: RealModel, editor: str, progress: Progress) -> dict[str, str]:
    task = progress.add_task(f"chat edits by {editor}", total=len(EDITS))
    bodies = [
        {
            "prompt": edit.prompt,
            "subject": edit.subject,
            "target_new": edit.target,
            "paraphrases": [edit.given],
            "editor": editor,
        }
        for edit in EDITS
    ]
    with tempfile.TemporaryDirectory() as folder:
        for server in run_server(Path(folder), model=str(model.folder)):
            done = edited(server, bodies, lambda: progress.advance(task))
            found = figures(server)
    progress.remove_task(task)
    verified = sum(bool(edit["verified"]) for edit in done)
    return {"edits that say verified": f"{verified} of {len(done)}", **found}


def figures(server: Server) -> dict[str, str]:
    """Of a server that holds the edits."""

    def answered(messages: Callable[[ChatEdit], Messages]) -> str:
        right = [_said(server, messages(edit)).startswith(edit.target) for edit in EDITS]
        return _share(right)

    def kept(text: Callable[[ChatEdit], str]) -> str:
        asked = [_turn(text(edit)) for edit in EDITS]
        same = [
            _said(server, one, KEPT_TOKENS) == _said(server, one, KEPT_TOKENS, version=0)
            for one in asked
        ]
        return _share(same)

    others = [
        _said(server, _turn(text)).startswith(edit.target) for edit in EDITS for text in edit.others
    ]
    plain = [_plain(server, edit.prompt).startswith(edit.target) for edit in EDITS]
    return {
        "the prompt": answered(lambda edit: _turn(edit.prompt)),
        "the phrasing that was given": answered(lambda edit: _turn(edit.given)),
        "two other phrasings": _share(others),
        "the prompt behind a system prompt": answered(lambda e: (SYSTEM, *_turn(e.prompt))),
        "the prompt as a second turn": answered(lambda e: (*EARLIER, *_turn(e.prompt))),
        "the prompt as plain text": _share(plain),
        "the question about another subject, unchanged": kept(lambda edit: edit.neighbor),
        "another question about the subject, unchanged": kept(lambda edit: edit.beside),
    }


def _turn(text: str) -> tuple[dict[str, str]]:
    return ({"role": "user", "content": text},)


def _said(
    server: Server, messages: Messages, tokens: int = ANSWER_TOKENS, version: int | None = None
) -> str:
    name = server.http.get("/v1/models").json()["data"][0]["id"]
    body: dict[str, Any] = {
        "model": name if version is None else f"{name}@{version}",
        "messages": list(messages),
        "temperature": 0,
        "max_tokens": tokens,
    }
    answer = server.http.post("/v1/chat/completions", json=body).json()
    return str(answer["choices"][0]["message"]["content"]).strip()


def _plain(server: Server, prompt: str) -> str:
    body = {"prompt": prompt, "max_new_tokens": ANSWER_TOKENS}
    return str(server.http.post("/generate", json=body).json()["text"]).strip()


def _share(hits: Sequence[bool]) -> str:
    return f"{sum(hits) / len(hits):.0%}"
