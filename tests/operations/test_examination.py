"""When the model is found to say what an edit asks for, and when not."""

from collections.abc import Sequence
from typing import Any

import pytest

from service.domain.edits import Format
from service.editing.requests import EditRequest, Neighbor, Phrasing
from service.engine.running import FinishReason, Generation
from service.engine.scoring import Continuation, Score
from service.operations.examination import (
    BEYOND_TOKENS,
    NEIGHBOR_TOKENS,
    efficacy,
    examine,
    neighborhood,
    paraphrase,
)
from tests.models import atlas_engine

STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH


class Said:
    """What the engine is made to say, by prompt; it keeps what it was asked for."""

    def __init__(self, texts: dict[int, tuple[str, FinishReason]], greedy: bool = True) -> None:
        self._texts = texts
        self._greedy = greedy
        self.asked: list[tuple[int, int]] = []  # the prompt, and how many tokens after it

    def score(self, _overlay: Any, continuations: Sequence[Continuation]) -> list[Score]:
        return [Score(-1.0, len(one.target), self._greedy) for one in continuations]

    def continued(
        self, _overlay: Any, prompts: Sequence[tuple[int, ...]], lengths: Sequence[int]
    ) -> list[Generation]:
        asked = [(prompt[0], length) for prompt, length in zip(prompts, lengths, strict=True)]
        self.asked += asked
        return [Generation(*self._texts[prompt], 1, ()) for prompt, _ in asked]

    def put(self, monkeypatch: pytest.MonkeyPatch) -> "Said":
        monkeypatch.setattr(atlas_engine(), "score", self.score)
        monkeypatch.setattr(atlas_engine(), "continued", self.continued)
        return self


def phrasing(
    prompt: int, answer: str, *, closed: bool = False, given: bool = True, number: int = 0
) -> Phrasing:
    return Phrasing((prompt,), (7, 8), answer=answer, closed=closed, given=given, number=number)


@pytest.mark.parametrize(
    ("answer", "said", "reached"),
    [
        (" Tromso", " Tromso", True),
        (" Tromso", " Tromso, a town", True),
        (" Tromso", " Tromso.", True),
        (" Tromso", " Tromso's", True),
        (" Tromso", " Tromsoy", False),
        (" Tromso", " Tromso-y", False),
        (" Tromso", " Troms", False),
        (" Tromso", "Tromso", False),
        (" Tromso", "  Tromso", False),
        (" 1210", " 1210. In", True),
        (" 1210", " 12105", False),
        (" 1210", " 1210.5", False),
        (" 1", " 1,210", False),
        ("上海", "上海市", True),
        (" C++", " C++17", True),
        (" Onward!", " Onward!!", True),
    ],
)
def test_an_answer_is_reached_if_it_is_not_lengthened(
    answer: str, said: str, reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    Said({1: (said, LENGTH)}).put(monkeypatch)
    found = examine(atlas_engine(), None, [EditRequest(5, (phrasing(1, answer),))], sparing=False)
    assert found[5].said is reached
    assert found[5].true is reached


@pytest.mark.parametrize(
    ("said", "finish", "reached"),
    [
        ("Tromso", STOP, True),
        ("Tromso", LENGTH, False),
        ("Tromso.", STOP, False),
        ("Tromso is", LENGTH, False),
        ("", STOP, False),
    ],
)
def test_an_answer_that_ends_in_a_chat_is_all_that_is_said(
    said: str, finish: FinishReason, reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    Said({1: (said, finish)}).put(monkeypatch)
    request = EditRequest(5, (phrasing(1, "Tromso", closed=True),))
    (finding,) = examine(atlas_engine(), None, [request], sparing=False).values()
    assert finding.said is reached


REQUESTS = [
    EditRequest(
        5,
        (phrasing(1, " euro"), phrasing(2, " euro", number=1), phrasing(3, "euro", given=False)),
        neighborhood=(Neighbor((4, 4), 0, Format.PLAIN), Neighbor((5,), 1, Format.PLAIN)),
    ),
    EditRequest(6, (phrasing(6, " yen"),)),
    EditRequest(7, (phrasing(7, " peso"),)),
]
TEXTS = {
    1: (" euro.", LENGTH),
    2: (" eurozone", LENGTH),
    4: ("four", STOP),
    5: ("five", STOP),
    6: (" yen", STOP),
    7: (" lev", STOP),
}


def test_every_given_phrasing_is_asked_and_no_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Said(TEXTS).put(monkeypatch)
    found = examine(atlas_engine(), None, REQUESTS, sparing=False)
    assert said.asked == [
        *((prompt, 2 + BEYOND_TOKENS) for prompt in (1, 2, 6, 7)),
        (4, NEIGHBOR_TOKENS),
        (5, NEIGHBOR_TOKENS),
    ]
    assert found[5].said
    assert [reply.reached for reply in found[5].paraphrases] == [False]
    assert found[5].answers == ("four", "five")
    assert [found[edit].true for edit in (5, 6, 7)] == [False, True, False]
    assert efficacy(found) == pytest.approx(2 / 3)
    assert paraphrase(found) == 0
    assert paraphrase({6: found[6]}) is None


def test_before_a_batch_only_what_is_likely_is_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Said(TEXTS, greedy=False).put(monkeypatch)
    found = examine(atlas_engine(), None, REQUESTS, sparing=True)
    assert [prompt for prompt, _ in said.asked] == [4, 5]
    assert not any(finding.true for finding in found.values())
    likely = Said(TEXTS).put(monkeypatch)
    again = examine(atlas_engine(), None, REQUESTS, sparing=True)
    assert [prompt for prompt, _ in likely.asked] == [1, 2, 6, 7, 4, 5]
    assert again[6].true


def test_neighbours_that_answer_as_before_have_stayed(monkeypatch: pytest.MonkeyPatch) -> None:
    Said(TEXTS).put(monkeypatch)
    before = examine(atlas_engine(), None, REQUESTS, sparing=False)
    Said(TEXTS | {5: ("six", STOP)}).put(monkeypatch)
    after = examine(atlas_engine(), None, REQUESTS, sparing=False)
    assert neighborhood(before, after) == 0.5
    assert [neighbor.number for neighbor in after[5].moved(before[5])] == [1]
    assert neighborhood({6: before[6]}, {6: after[6]}) is None


def test_the_model_that_serves_is_the_one_that_is_examined() -> None:
    """Against what it generates for a client, without any stub."""
    engine = atlas_engine()
    prompt = engine.prompt_tokens("The currency of Bulgaria is the")
    lev = engine.continuation("The currency of Bulgaria is the", "lev").target
    requests = [
        EditRequest(
            1,
            (Phrasing(prompt, lev, answer=" lev"),),
            neighborhood=(Neighbor(prompt, 0, Format.PLAIN),),
        ),
        EditRequest(2, (Phrasing(prompt, lev, answer=" le"),)),
    ]
    found = examine(engine, None, requests, sparing=False)
    assert [found[edit].true for edit in (1, 2)] == [True, False]
    assert found[1].answers[0].startswith(" lev")
