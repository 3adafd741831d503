"""Which tokens may end a word."""

import re

import pytest
from transformers import PreTrainedTokenizerBase

from service.editing.word_ends import WordEnds
from tests.editing.test_tokens import KINDS, every_kind
from tests.models import atlas

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
