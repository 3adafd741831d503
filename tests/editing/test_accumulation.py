"""Second moments of keys, and the model's own texts that they and the contexts are taken from."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing import accumulation
from service.editing.accumulation import Accumulation
from service.editing.architectures import down_projection_of
from service.editing.samples import sample, start_token, templates_of
from tests.models import atlas
from tests.tiny import VOCABULARY, tiny

LAYERS = (1, 3)


def tokens(length: int, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(1, VOCABULARY, (length,), generator=generator).tolist())


TEXTS = [tokens(length, length) for length in (9, 1, 20, 4, 13)]


def keys_of(model: PreTrainedModel, layer: int, texts: Sequence[Sequence[int]]) -> Tensor:
    """[k, d_in]: what the projection takes at each token, every text alone."""
    seen: list[Tensor] = []

    def keep(_module: object, args: tuple[Tensor, ...], _output: object) -> None:
        seen.append(args[0].reshape(-1, args[0].shape[-1]))

    handle = down_projection_of(model, layer).register_forward_hook(keep)
    with torch.no_grad():
        for text in texts:
            model(input_ids=torch.tensor([text]))
    handle.remove()
    return torch.cat(seen)


def added(model: PreTrainedModel, *parts: Sequence[Sequence[int]]) -> Accumulation:
    found = Accumulation.empty(LAYERS)
    for part in parts:
        found.add(model, part)
    return found


# Second moments.


@pytest.mark.parametrize("model_type", ["gpt2", "opt", "llama"])
@pytest.mark.parametrize(
    "parts",
    [[TEXTS], [TEXTS[:2], TEXTS[2:]], [[text] for text in TEXTS]],
    ids=["at once", "in two", "one by one"],
)
def test_the_second_moment_is_the_mean_of_all_tokens_products(
    model_type: str, parts: list[list[tuple[int, ...]]]
) -> None:
    """Uncentred, in float64, and padding is none of them."""
    model = tiny(model_type)
    found = added(model, *parts).statistics("random tokens")
    assert set(found) == set(LAYERS)
    for layer, statistics in found.items():
        keys = keys_of(model, layer, TEXTS)
        wanted = sum(torch.outer(key, key) for key in keys.double()) / len(keys)
        assert isinstance(wanted, Tensor)
        assert statistics.second_moment.dtype == torch.float32
        torch.testing.assert_close(
            statistics.second_moment.double(), wanted, atol=1e-5 * float(wanted.abs().max()), rtol=0
        )
        torch.testing.assert_close(statistics.keys, keys, atol=1e-5, rtol=1e-5)
        assert (statistics.vectors, statistics.source) == (47, "random tokens")


def test_the_number_of_texts_is_kept_to_go_on_from() -> None:
    found = added(tiny("gpt2"), TEXTS[:2], TEXTS[2:3])
    assert (found.texts, found.vectors) == (3, 30)


def test_of_all_keys_only_the_first_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert accumulation.KEPT_KEYS == 1_024
    monkeypatch.setattr(accumulation, "KEPT_KEYS", 12)
    model = tiny("gpt2")
    found = added(model, *([text] for text in TEXTS)).statistics("random tokens")
    keys = keys_of(model, 1, TEXTS)
    torch.testing.assert_close(found[1].keys, keys[:12], atol=1e-5, rtol=1e-5)
    assert found[1].vectors == len(keys) == 47


def test_the_digest_tells_statistics_apart() -> None:
    model = tiny("gpt2")
    one, again, other = (added(model, part) for part in (TEXTS, TEXTS, TEXTS[1:]))
    assert one.statistics("a")[1].digest == again.statistics("a")[1].digest
    digests = {
        one.statistics("a")[1].digest,
        one.statistics("b")[1].digest,
        one.statistics("a")[3].digest,
        other.statistics("a")[1].digest,
    }
    assert len(digests) == 4


# Samples.

COUNT, LENGTH = 24, 30
END = 30  # a token that the model says often


def samples(start: int = 5, seed: int = 1) -> list[tuple[int, ...]]:
    return sample(tiny("gpt2"), start, COUNT, LENGTH, seed)


def test_samples_are_the_same_for_the_same_seed() -> None:
    assert samples() == samples()
    assert samples(seed=1) != samples(seed=2)


def test_samples_begin_with_the_start_token_and_end_before_it_comes_again() -> None:
    texts = samples()
    assert len(texts) == COUNT
    assert all(text[0] == 5 and 5 not in text[1:] for text in texts)
    lengths = {len(text) for text in texts}
    assert max(lengths) == LENGTH
    assert len(lengths) > 1


def test_samples_follow_the_models_probabilities() -> None:
    """Drawn anew without a cache, every text over again at every token."""
    model = tiny("gpt2")
    generator = torch.Generator().manual_seed(1)
    ids = torch.full((COUNT, 1), 5)
    while ids.shape[1] < LENGTH:
        with torch.no_grad():
            probabilities = model(input_ids=ids).logits[:, -1].softmax(dim=1)
        ids = torch.cat([ids, probabilities.multinomial(1, generator=generator)], dim=1)
    for text, wanted in zip(samples(), ids.tolist(), strict=True):
        assert list(text) == wanted[: len(text)]
        assert wanted[len(text) :][:1] in ([], [5], [0])  # its start, and the model's end


def test_samples_end_where_the_model_ends_its_texts() -> None:
    model = tiny("gpt2")
    model.generation_config.eos_token_id = END
    texts = sample(model, 5, COUNT, LENGTH, 1)
    assert sum(len(text) < LENGTH for text in texts) > COUNT / 2
    assert not any(END in text[:-1] for text in texts)


class Tokenizer:
    """Its special tokens, by id."""

    def __init__(self, beginning: Any, end: Any) -> None:
        self.bos_token_id, self.eos_token_id = beginning, end


@pytest.mark.parametrize(
    ("beginning", "end", "start"),
    [(1, 2, 1), (None, 2, 2), (0, 2, 0), (None, 0, 0), (None, None, 0)],
)
def test_texts_start_with_the_first_of_beginning_and_end_that_there_is(
    beginning: int | None, end: int | None, start: int
) -> None:
    assert start_token(Tokenizer(beginning, end)) == start  # type: ignore[arg-type]


# Templates.


def templates(*texts: str) -> list[list[str]]:
    tokenizer = atlas().tokenizer
    return templates_of(tokenizer, [tokenizer(text)["input_ids"] for text in texts], 10)


def test_templates_are_the_bare_prompt_and_the_prompt_after_other_texts() -> None:
    assert templates("The euro", "Is it the euro?", "It is! ", " In Peru.") == [
        ["{}"],
        ["The euro. {}", "Is it the euro? {}", "It is! {}", "In Peru. {}"],
    ]


def test_templates_hold_no_braces_but_the_prompts() -> None:
    assert templates("{The {euro}\n }Peru") == [["{}"], ["The euro Peru. {}"]]


def test_templates_are_each_there_once_and_five_at_most() -> None:
    words = ["euro", "Peru", "euro", "{euro}", "the", "of", "currency", "language"]
    found = ["euro", "Peru", "the", "of", "currency"]
    assert templates(*words) == [["{}"], [f"{word}. {{}}" for word in found]]


@pytest.mark.parametrize("tokens", [5, 10])
def test_templates_are_of_so_many_tokens_without_special_ones(tokens: int) -> None:
    tokenizer = atlas().tokenizer
    (the,) = tokenizer(" the")["input_ids"]
    text = [start_token(tokenizer), *[the] * 20]
    found = " ".join(["the"] * (tokens - 1))
    assert templates_of(tokenizer, [text], tokens) == [["{}"], [f"{found}. {{}}"]]


@pytest.mark.parametrize("texts", [(), ("",), (" \n", "{}")])
def test_without_texts_there_is_the_bare_prompt_alone(texts: tuple[str, ...]) -> None:
    assert templates(*texts) == [["{}"]]
