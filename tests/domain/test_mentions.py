"""A question is about what its own sentence names, and else about what it goes on with."""

import pytest

from service.domain.mentions import asked_about, last_sentence
from service.domain.subject_index import SubjectIndex, normal

INDEX = SubjectIndex().with_subjects(
    map(normal, ["France", "Spain", "St. Louis", "Dwight D. Eisenhower"])
)


@pytest.mark.parametrize(
    ("message", "about"),
    [
        ("What is the capital of France?", {"france"}),
        ("France is nice. What is the capital?", {"france"}),
        ("France is nice. What is the capital of Spain?", {"spain"}),
        ("France is nice. What is the capital of Italy?", set()),  # of no edit's
        ("Question: What is the capital of France?\nAnswer:", {"france"}),
        ("The population of St. Louis is", {"st. louis"}),
        ("Which sport did Dwight D. Eisenhower play?", {"dwight d. eisenhower"}),
        ("What is the capital of Italy?", set()),
    ],
)
def test_a_message(message: str, about: set[str]) -> None:
    assert asked_about(INDEX, frozenset(), message) == about


@pytest.mark.parametrize("filling", ["\n", ". ", "a:\n", "' ", "\u0301", "A. "])
def test_a_long_text_takes_no_longer_than_it_is_long(filling: str) -> None:
    """A quadratic search would not end within the patience of a test."""
    text = "The capital of France is" + filling * 200_000
    before, sentence = last_sentence(text)
    assert before + sentence == text


@pytest.mark.parametrize(
    ("message", "about"),
    [
        ("And what is its capital?", {"france"}),
        ("What is the capital of that country?", {"france"}),
        ("what is the capital of italy?", set()),  # names without capitals are not told apart
        ("What is its capital, Italy's I mean?", set()),
        ("And of Spain?", {"spain"}),
    ],
)
def test_a_turn_goes_on_with_an_earlier_one_where_it_refers_back(
    message: str, about: set[str]
) -> None:
    assert asked_about(INDEX, frozenset({"france"}), message) == about
