"""Editing and serving share one model at the same time, and do not see each other."""

import threading
from typing import Any

from service.atlas import EDITS_FILE
from service.atlas.edits import read_edits
from tests.conftest import Server
from tests.operations.test_apply import apply

ASKED = "Q: What is the capital of Bosnia and Herzegovina? A:"


def test_answers_stay_right_while_batches_are_applied(server: Server) -> None:
    ask: dict[str, Any] = {"prompt": ASKED, "version": 0}
    wanted = server.http.post("/generate", json=ask).json()
    records = [r for r in read_edits(EDITS_FILE) if "Bosnia" not in r["prompt"]][:96]
    done = threading.Event()
    answers: list[Any] = []

    def serve() -> None:
        while not done.is_set():
            answers.append(server.http.post("/generate", json=ask).json())

    threads = [threading.Thread(target=serve) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        edits = [{"prompt": r["prompt"], "target_new": r["target_new"]} for r in records]
        applied = apply(server, *edits)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert {edit["error"] for edit in applied} == {None}
    assert {edit["status"] for edit in applied} == {"applied"}
    assert len(answers) > 20
    assert answers == [wanted] * len(answers)
