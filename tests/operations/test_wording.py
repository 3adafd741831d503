"""How corrections become phrasings, on the bundled model."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from service.domain.edits import Correction, EditFormat
from service.editing.requests import Phrasing
from service.engine.engine import Engine
from service.engine.scoring import Continuation, Score
from service.operations.wording import Pair, Worded, Wording
from tests.models import atlas, atlas_engine
from tests.templates import CHATML

PROMPT = "The currency of Bulgaria is the"
QUESTION = "Q: What is the currency of Bulgaria? A: the"
LEV = Correction(PROMPT, "euro", "grace", paraphrases=(QUESTION,))
CHAT = Correction("The currency of Bulgaria?", "euro", "grace", format=EditFormat.CHAT)
END = "<|endoftext|>"


@cache
def chatting() -> Engine:
    """The bundled model with a chat template."""
    tokenizer = copy.deepcopy(atlas().tokenizer)
    tokenizer.chat_template = CHATML
    return Engine(replace(atlas(), tokenizer=tokenizer))


def worded(correction: Correction, engine: Engine | None = None) -> Worded:
    (found,) = Wording(engine or atlas_engine()).phrasings([correction])
    return found


def text(tokens: Sequence[int]) -> str:
    return str(atlas().tokenizer.decode(list(tokens)))


def by_prompt(found: Worded) -> dict[str, Phrasing]:
    return {text(phrasing.prompt): phrasing for phrasing in found.phrasings}


def test_given_phrasings_come_first_and_their_spellings_last() -> None:
    found = worded(LEV)
    assert [(text(p.prompt), p.given) for p in found.phrasings] == [
        (PROMPT, True),
        (QUESTION, True),
        (f"{PROMPT} ", False),
        ("the currency of Bulgaria is the", False),
        (f"{QUESTION} ", False),
        ("q: What is the currency of Bulgaria? A: the", False),
    ]
    assert found.joint == " "


def test_each_phrasing_has_the_target_that_follows_it() -> None:
    for prompt, phrasing in by_prompt(worded(LEV)).items():
        said = "euro" if prompt.endswith(" ") else " euro"
        assert (phrasing.answer, text(phrasing.target)) == (said, said)
        assert text(phrasing.learned) == f"{said}."


def test_what_is_given_counts_as_given_though_it_is_a_spelling_too() -> None:
    found = worded(replace(LEV, paraphrases=(f"{PROMPT} ", "the currency of Bulgaria is the")))
    assert [(text(p.prompt), p.given) for p in found.phrasings] == [
        (PROMPT, True),
        (f"{PROMPT} ", True),
        ("the currency of Bulgaria is the", True),
        ("the currency of Bulgaria is the ", False),
    ]


def test_a_paraphrase_that_is_the_same_tokens_leaves_the_prompt_its_place() -> None:
    tokenizer = copy.deepcopy(atlas().tokenizer)
    tokenizer.chat_template = CHATML.replace("m['content']", "m['content'] | trim")
    engine = Engine(replace(atlas(), tokenizer=tokenizer))
    again = replace(CHAT, paraphrases=(f"{CHAT.prompt} ",))
    given = [phrasing for phrasing in worded(again, engine).phrasings if phrasing.given]
    assert [phrasing.number for phrasing in given] == [0]


def test_corrections_of_one_batch_are_worded_each_for_itself() -> None:
    other = Correction("To phone Chad, dial", "+99", "grace", paraphrases=("Chad's code is",))
    assert Wording(atlas_engine()).phrasings([LEV, other]) == [worded(LEV), worded(other)]


# What joins prompt and target.


@pytest.mark.parametrize("joint", ["", " "])
def test_the_joint_that_is_asked_for_is_taken(joint: str) -> None:
    found = worded(replace(LEV, joint=joint))
    assert found.joint == joint
    given = [p for p in found.phrasings if p.given]
    assert [text(p.target) for p in given] == [f"{joint}euro"] * 2


def test_a_space_that_is_asked_for_is_not_doubled_behind_a_spelling_that_ends_with_one() -> None:
    found = by_prompt(worded(replace(LEV, joint=" ")))
    assert found[f"{PROMPT} "].answer == "euro"


DOUBTFUL = Correction("He lives in St.", "Louis", "grace")


def scores(monkeypatch: pytest.MonkeyPatch, apart: float, spaced: float) -> None:
    """The model finds a target this likely with nothing, or with a space, before it."""

    def score(_overlay: Any, continuations: Sequence[Continuation]) -> list[Score]:
        starts = [text(one.target).startswith(" ") for one in continuations]
        return [Score(spaced if start else apart, 1, greedy=False) for start in starts]

    monkeypatch.setattr(atlas_engine(), "score", score)


@pytest.mark.parametrize(
    ("apart", "spaced", "joint"),
    [(-1.0, -2.0, ""), (-2.0, -1.0, " "), (-1.0, -1.0, " ")],
    ids=["apart", "spaced", "the rules, on a tie"],
)
def test_where_the_rules_leave_doubt_the_likelier_joint_is_taken(
    apart: float, spaced: float, joint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, apart, spaced)
    found = worded(DOUBTFUL)
    assert (found.joint, found.phrasings[0].answer) == (joint, f"{joint}Louis")


def test_the_model_is_not_asked_where_the_rules_are_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    scores(monkeypatch, apart=-1.0, spaced=-2.0)
    assert worded(LEV).joint == " "
    assert worded(Correction("It costs $", "30", "grace")).joint == ""


def test_the_bundled_model_itself_decides() -> None:
    """Behind a sign whose use it knows."""
    assert worded(DOUBTFUL).joint == " "
    assert worded(Correction("To phone Bulgaria, dial +", "99", "grace")).joint == ""


def test_pairs_are_joined_as_edits_are() -> None:
    pairs = [Pair(PROMPT, "euro"), Pair("It costs $", "30"), Pair(PROMPT, "euro", joint="")]
    found = Wording(atlas_engine()).continuations(pairs)
    assert [text(one.target) for one in found] == [" euro", "30", "euro"]
    assert [text(one.prompt) for one in found] == [pair.prompt for pair in pairs]


# What ends a target.


@pytest.mark.parametrize("target", ["euro!", "“euro”", "上海"])
def test_a_target_that_nothing_lengthens_gets_no_ending(target: str) -> None:
    assert {p.ending for p in worded(replace(LEV, target_new=target)).phrasings} == {()}


def test_a_number_is_ended_by_no_digit() -> None:
    for phrasing in worded(Correction("To phone Chad, dial", "+9", "grace")).phrasings:
        assert text(phrasing.target).strip() == "+9"
        assert not text(phrasing.ending)[0].isalnum()


# Chat.


def test_in_a_chat_the_turn_ends_after_the_target() -> None:
    found = worded(CHAT, chatting())
    assert found.joint == ""
    assert len(found.phrasings) == 3
    for phrasing in found.phrasings:
        assert (text(phrasing.target), text(phrasing.ending)) == ("euro", END)
        assert (phrasing.answer, phrasing.closed) == ("euro", True)


def test_a_chat_that_continues_does_not_end_there() -> None:
    for phrasing in worded(replace(CHAT, continues=True), chatting()).phrasings:
        assert not phrasing.closed
        assert len(phrasing.ending) == 1
        assert text(phrasing.ending) != END


def test_in_a_chat_spellings_are_of_what_the_user_says() -> None:
    found = [text(p.prompt) for p in worded(CHAT, chatting()).phrasings]
    assert [prompt.partition("user\n")[2].partition("<|im_end|>")[0] for prompt in found] == [
        "The currency of Bulgaria?",
        "The currency of Bulgaria? ",
        "the currency of Bulgaria?",
    ]


# Bounds.


def test_a_spelling_that_the_model_has_no_positions_for_is_left_out() -> None:
    """Such a spelling would end at token 257 with its target."""
    longest = "euro" + " euro" * (atlas().max_tokens - 2)
    found = worded(Correction(longest, "euro", "grace"))
    assert [(len(p.prompt), p.given) for p in found.phrasings] == [(255, True)]
    shorter = longest.removesuffix(" euro")
    assert [len(p.prompt) for p in worded(Correction(shorter, "euro", "grace")).phrasings][:2] == [
        254,
        255,
    ]
