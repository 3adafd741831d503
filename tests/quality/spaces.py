"""Whether targets are joined to their prompts as they would be written, over HTTP."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.progress import Progress

from tests.conftest import run_server
from tests.quality.edited import edited, said
from tests.quality.models import RealModel
from tests.quality.table import Table
from tests.quality.writing import WRITTEN


def run(models: Sequence[RealModel], progress: Progress) -> list[Table]:
    headers = ("prompt", "target", "joint", "answer", "right")
    return [
        Table(f"Joints on {model.name}", headers, tuple(_rows(model, progress))) for model in models
    ]


def _rows(model: RealModel, progress: Progress) -> list[tuple[str, ...]]:
    task = progress.add_task(f"joints on {model.name}", total=len(WRITTEN))
    rows: list[tuple[str, ...]] = []
    edits = [{"prompt": prompt, "target_new": target} for prompt, target in WRITTEN]
    with tempfile.TemporaryDirectory() as folder:
        for server in run_server(Path(folder), model=str(model.folder)):
            for edit in edited(server, edits, lambda: progress.advance(task)):
                answer = said(server, edit["prompt"])
                right = edit["verified"] and answer.startswith(edit["target_new"])
                rows.append(
                    (
                        edit["prompt"],
                        edit["target_new"],
                        repr(edit["joint"]),
                        answer,
                        "yes" if right else "no",
                    )
                )
    progress.remove_task(task)
    return rows
