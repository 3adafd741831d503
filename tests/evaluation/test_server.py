"""Many questions at once, and what comes of one that fails."""

import threading
import time
from typing import Any

import pytest

from service.evaluation.server import Asker


class Nowhere:
    """A server that nothing is asked of."""

    def get(self, path: str, **parameters: Any) -> Any:
        raise NotImplementedError(path, parameters)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        raise NotImplementedError(path, body)


def test_questions_go_together_and_answers_keep_their_order() -> None:
    together = threading.Barrier(4, timeout=10)  # broken unless four wait at once
    told: list[tuple[str, int, int]] = []

    def ask(_: object, question: int) -> int:
        together.wait()
        return -question

    asker = Asker(Nowhere(), 4, lambda *how_far: told.append(how_far))
    assert asker.each("asking", ask, range(8)) == [0, -1, -2, -3, -4, -5, -6, -7]
    assert told == [("asking", done, 8) for done in range(1, 9)]


def test_after_a_failure_the_rest_is_not_asked() -> None:
    asked: list[int] = []

    def ask(_: object, question: int) -> None:
        asked.append(question)
        time.sleep(0.001)  # lets the thread that waits for answers run
        if question == 3:
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        Asker(Nowhere(), 1, lambda *_: None).each("asking", ask, range(1_000))
    assert len(asked) < 1_000
