"""Where a text names a subject, and what an edit says of it."""

import time
import unicodedata
from typing import Literal

import pytest

from service.domain.subjects import comparable, places_of, warnings_of

Form = Literal["NFC", "NFD"]
STRIPPED = "the subject is looked for without the white space at its edges"
INSIDE = (
    "the subject does not stand as a whole word in the prompt: its first place is taken, inside "
    "another word at character {}"
)


def taken(subject: str, text: str) -> list[str]:
    """What is before each place."""
    return [text[:start] for start, _ in places_of(subject, text).taken]


@pytest.mark.parametrize("subject", ["Poland", "Poland ", " Poland", "\tPoland\n", "Poland\u00a0"])
def test_white_space_at_its_edges_is_no_part_of_a_subject(subject: str) -> None:
    text = "The capital of Poland is"
    assert places_of(subject, text).taken == ((15, 21),)
    assert warnings_of(subject, text) == (() if subject == "Poland" else (STRIPPED,))


@pytest.mark.parametrize("subject", ["", " ", "\n\t"])
def test_white_space_alone_names_nothing(subject: str) -> None:
    assert places_of(subject, "The capital of Poland is").taken == ()


@pytest.mark.parametrize("subject", ["Iran", " Iran", "Iran "])
def test_whole_words_are_taken_rather_than_parts(subject: str) -> None:
    text = "Iranian oil comes from Iran, not from pre-Iranian times"
    places = places_of(subject, text)
    assert (places.taken, places.whole) == (((23, 27),), True)
    assert places.left == ((0, 4), (42, 46))
    assert warnings_of(subject, text)[-1] == (
        "the subject also stands 2 times inside another word, first at character 0: "
        "it is not taken there"
    )


def test_every_place_as_a_whole_word_is_taken() -> None:
    text = "Chad, chad, Chad's and Chadian Chad"
    assert taken("Chad", text) == ["", "Chad, chad, ", "Chad, chad, Chad's and Chadian "]
    assert warnings_of("Chad", text) == (
        "the subject stands 3 times as a whole word in the prompt: all of them are taken",
        "the subject also stands inside another word, at character 23: it is not taken there",
    )


def test_without_a_whole_word_the_first_place_is_taken() -> None:
    places = places_of("ulga", "Old Bulgaria, new Bulgaria")
    assert (places.taken, places.whole, places.left) == (((5, 9),), False, ((19, 23),))
    assert warnings_of("ulga", "Old Bulgaria, new Bulgaria") == (INSIDE.format(5),)


@pytest.mark.parametrize(
    ("subject", "text", "whole"),
    [
        ("C", "C++ is", True),
        ("C++", "C++11 is", True),  # what ends in no letter needs no edge there
        ("C", "C1 is", False),
        ("7", "Apollo 7 is", True),
        ("7", "Apollo 17 is", False),
        ("🎉", "a🎉b", True),
        ("Iran", "Iran-Iraq", True),
        ("(Iran)", "x(Iran)y", True),
        ("Россия", "Россия это", True),
        ("Росси", "Россия это", False),
        ("भारत", "भारत की", True),
        ("भारत", "भारती की", False),  # a vowel sign goes on
        ("한국", "한국은", False),
        ("กร", "กรี", False),  # nor is one cut off where words have no edges
    ],
)
def test_letters_digits_and_marks_make_words(subject: str, text: str, whole: bool) -> None:
    places = places_of(subject, text)
    assert len(places.taken) == 1
    assert places.whole is whole


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("東京", "東京都は東京"),
        ("ひろ", "ひろばのひろさ"),
        ("コロナ", "新コロナーとコロナ"),
        ("ไทย", "ภาษาไทยในประเทศไทย"),
        ("日本", "日本Japan、In日本"),
    ],
)
def test_scripts_without_spaces_have_no_edges_of_words(subject: str, text: str) -> None:
    places = places_of(subject, text)
    assert (len(places.taken), places.whole) == (2, True)


@pytest.mark.parametrize("of_subject", ["NFC", "NFD"])
@pytest.mark.parametrize("of_text", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("subject", "text"),
    [("São", "In São Paulo"), ("Ångström", "The Ångström is"), ("각", "In 각 is")],
)
def test_equivalent_spellings_name_the_same_subject(
    of_subject: Form, of_text: Form, subject: str, text: str
) -> None:
    spelled = unicodedata.normalize(of_subject, subject)
    written = unicodedata.normalize(of_text, text)
    ((start, end),) = places_of(spelled, written).taken
    assert written[start:end] == unicodedata.normalize(of_text, subject)
    assert written[:start] in ("In ", "The ")
    assert comparable(spelled) == comparable(f" {subject}")
    assert places_of("\u00c5ngstr\u00f6m", "1 \u212bngstro\u0308m").taken == ((2, 11),)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_letter_is_not_parted_from_its_accent(form: Form) -> None:
    text = unicodedata.normalize(form, "Polé")
    assert places_of("Pole", text).taken == ()
    assert places_of("Pol", text).taken == ((0, 3),)


def test_long_texts_are_searched_in_a_moment() -> None:
    started = time.process_time()
    places = places_of("a", "a " * 32_768)
    assert len(places.taken) == 32_768
    assert len(places_of("a", "ab " * 20_000).left) == 19_999
    assert time.process_time() - started < 5
