"""Other spellings of a prompt."""

import pytest

from service.domain.spellings import spellings_of

COMPOSED, DECOMPOSED = "C\u00f4te d'Ivoire is in", "Co\u0302te d'Ivoire is in"


def test_a_space_behind_and_the_first_letters_case() -> None:
    assert spellings_of("The capital is") == ("The capital is ", "the capital is")
    assert spellings_of("the capital is") == ("the capital is ", "The capital is")


def test_spaces_at_the_edges_are_left_out_too() -> None:
    assert spellings_of("  The capital is ") == (
        "The capital is",
        "The capital is ",
        "the capital is",
    )


@pytest.mark.parametrize("prompt", ["NATO is led by", "UN members are"])
def test_an_acronym_keeps_its_case(prompt: str) -> None:
    assert spellings_of(prompt) == (f"{prompt} ",)


@pytest.mark.parametrize(
    "prompt", ["中国的首都是", "1201 was the year of", "«Onward» is", "\N{DIGIT ONE}"]
)
def test_what_has_no_case_gets_a_space_alone(prompt: str) -> None:
    assert spellings_of(prompt) == (f"{prompt} ",)


@pytest.mark.parametrize(("prompt", "other"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_both_of_unicodes_forms(prompt: str, other: str) -> None:
    found = spellings_of(prompt)
    assert other in found
    assert prompt not in found


@pytest.mark.parametrize("prompt", [" ", "\t ", "a", "\n", "ß is", "ŉ is"])
def test_no_prompt_is_too_short_or_odd(prompt: str) -> None:
    """Every spelling is another text than the prompt, and none is met twice."""
    found = spellings_of(prompt)
    assert prompt not in found
    assert len(set(found)) == len(found)
    assert all(found)


def test_inner_spaces_and_lines_at_the_end_stay() -> None:
    assert spellings_of("A: b  c\n") == ("A: b  c\n ", "a: b  c\n")
