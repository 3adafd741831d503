"""What is asked freely, and which answers are right."""

import pytest

from service.evaluation.answers import (
    EARLIER_ANSWER,
    EARLIER_QUESTION,
    INSTRUCTIONS,
    FreeQuestion,
    behind_text,
    behind_turns,
    in_chats,
    to_paraphrases,
)
from service.evaluation.datasets import Record

RECORD = Record(
    "The capital of Illinois is",
    "Chicago",
    paraphrases=("Illinois is governed from", "The seat of Illinois is"),
)


@pytest.mark.parametrize(
    ("target", "answer", "right"),
    [
        ("New York", " New York.", True),
        ("New York", "\n\nNew York", True),
        ("New York", " New York City", True),
        ("New York", " New Yorkshire", False),
        ("New York", " New Jersey", False),
        ("New York", " New", False),
        ("New York", " It is New York", False),
        ("12", " 12.", True),
        ("12", " 12.5", False),
        ("12", " of 12", False),
        (" Tromso ", " Tromso is", True),
        ("上海", "上海市", True),
    ],
)
def test_only_an_answer_that_begins_with_the_whole_target_is_right(
    target: str, answer: str, right: bool
) -> None:
    assert FreeQuestion("", target).is_right(answer) is right


def test_given_paraphrases_are_not_asked() -> None:
    assert to_paraphrases([RECORD], 1) == [FreeQuestion("The seat of Illinois is", "Chicago")]


def test_behind_context_the_prompt_comes_last() -> None:
    (text,) = behind_text([RECORD])
    assert text == FreeQuestion(
        f"{INSTRUCTIONS}\nQ: {EARLIER_QUESTION}\nA: {EARLIER_ANSWER}\n{RECORD.prompt}", "Chicago"
    )
    last = (("assistant", EARLIER_ANSWER), ("user", RECORD.prompt))
    (turns,) = behind_turns([RECORD], system_messages=True)
    assert turns.text == (("system", INSTRUCTIONS), ("user", EARLIER_QUESTION), *last)
    (without,) = behind_turns([RECORD], system_messages=False)
    assert without.text == (("user", f"{INSTRUCTIONS}\n\n{EARLIER_QUESTION}"), *last)
    assert in_chats([RECORD]) == [FreeQuestion((("user", RECORD.prompt),), "Chicago")]
