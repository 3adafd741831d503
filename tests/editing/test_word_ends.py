"""Where words end, and which tokens may end them."""

import re

import pytest
from transformers import PreTrainedTokenizerBase

from service.editing.word_ends import WordEnds, can_be_lengthened, lengthens
from tests.editing.test_tokens import KINDS, every_kind
from tests.models import atlas


@pytest.mark.parametrize(
    ("target", "rest"),
    [
        ("Tromso", "y"),
        ("Tromso", "\u0301"),
        ("Tromso", "2"),
        ("Guinea", "-Bissau is"),
        ("Guinea", "\u2011Bissau"),
        ("1210", "5"),
        ("1210", ".5 million"),
        ("1", ",210"),
        ("10", ":30"),
        ("1882", "-83"),
        ("1882", "\u201383"),
        ("1882", "/83"),
        ("snake", "_case"),
        ("부산", "에"),
        ("Πάτρα", "ς"),
    ],
)
def test_what_lengthens_a_targets_last_word(target: str, rest: str) -> None:
    assert lengthens(target, rest)


@pytest.mark.parametrize(
    ("target", "rest"),
    [
        ("Tromso", ""),
        ("Tromso", " y"),
        ("Tromso", "."),
        ("Tromso", ".5"),
        ("Tromso", ", a town"),
        ("Tromso", "'s"),
        ("Tromso", "-"),
        ("Tromso", " - a town"),
        ("Tromso", "\n"),
        ("Tromso", "市"),
        ("1210", "."),
        ("1210", ". In 5"),
        ("1210", ", 5"),
        ("1210", " 5"),
        ("1210", "%"),
        ("上海", "市"),
        ("เชียงใหม่", "อยู่"),
        ("Onward!", "y"),
        ("C++", "y"),
        ("Onward\u201d", "s"),
    ],
)
def test_what_leaves_it_as_it_is(target: str, rest: str) -> None:
    assert not lengthens(target, rest)


@pytest.mark.parametrize(
    ("target", "can"),
    [
        ("euro", True),
        ("1210", True),
        ("cafe\u0301", True),
        ("a_", True),
        ("上海", False),
        ("C++", False),
        ("$5.", False),
        ("(x)", False),
    ],
)
def test_only_a_spaced_scripts_word_can_be_lengthened(target: str, can: bool) -> None:
    assert can_be_lengthened(target) is can


# The tokens that may end a word.

GOES_ON = {
    "the euro": re.compile(r"\w|-\w"),
    "1210": re.compile(r"\w|[-.,:/]?\d"),
}


def allowed(tokenizer: PreTrainedTokenizerBase, target: str, *ends: int) -> list[int]:
    mask = WordEnds(tokenizer, len(tokenizer) + 3, frozenset(ends)).after(target)
    assert mask.shape == (len(tokenizer) + 3,)
    found: list[int] = mask.nonzero().flatten().tolist()
    return found


@every_kind
@pytest.mark.parametrize("target", GOES_ON)
def test_no_allowed_token_lengthens_a_word(kind: str, target: str) -> None:
    """Held against what the tokenizer makes of the target and that token."""
    tokenizer = KINDS[kind]()
    before = tokenizer(target, add_special_tokens=False)["input_ids"]
    stem = str(tokenizer.decode(before))
    found = allowed(tokenizer, target)
    assert found
    for token in found:
        whole = str(tokenizer.decode([*before, token]))
        assert whole.startswith(stem)
        rest = whole[len(stem) :]
        assert rest
        assert not GOES_ON[target].match(rest), rest


def test_signs_and_spaces_end_a_word_and_letters_do_not() -> None:
    tokenizer = atlas().tokenizer
    vocabulary = tokenizer.get_vocab()
    found = set(allowed(tokenizer, "euro"))
    assert {vocabulary[piece] for piece in (".", ",", "Ċ", "Ġ")} <= found
    assert found.isdisjoint(vocabulary[piece] for piece in ("a", "Z", "7", "-"))


def test_bytes_that_are_no_whole_character_end_no_word() -> None:
    tokenizer = KINDS["bytes"]()
    parts = tokenizer("東", add_special_tokens=False)["input_ids"]
    assert set(parts).isdisjoint(allowed(tokenizer, "euro"))


@every_kind
def test_what_ends_a_text_ends_a_word_and_other_special_tokens_do_not(kind: str) -> None:
    tokenizer = KINDS[kind]()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<end>", "<other>"]})
    end, other = (tokenizer.get_vocab()[name] for name in ("<end>", "<other>"))
    found = allowed(tokenizer, "euro", end, 1_000_000)
    assert end in found
    assert other not in found
    assert set(found) & set(tokenizer.all_special_ids) == {end}


def test_logits_beyond_the_tokenizer_end_no_word() -> None:
    tokenizer = KINDS["words"]()
    assert max(allowed(tokenizer, "euro")) < len(tokenizer)
    small = WordEnds(tokenizer, 5, frozenset())
    assert small.after("euro").shape == (5,)
