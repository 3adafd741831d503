"""Tells which tokens may follow a target without lengthening its last word."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from service.editing.lengthening import lengthens

SEPARATORS = frozenset(".,:/")  # alone, they end a number or go on with it
# The sign of bytes that are no whole character yet.
PARTIAL = "\N{REPLACEMENT CHARACTER}"


class WordEnds:
    """The tokens of one tokenizer that can end a word."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, vocabulary: int, ends: frozenset[int]
    ) -> None:
        """`vocabulary`: the model's logits; `ends`: the tokens that end a text."""
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._ends = ends
        self._after = lru_cache(maxsize=4)(self._mask)

    def after(self, target: str, *, surely: bool = False) -> Tensor:
        """[vocabulary] bool: the tokens that may follow `target`, and leave its last word as it
        is; `surely` none that may yet go on with a number.
        """
        return self._after(target[-1].isdigit(), surely)

    def goes_on(self, target: str, token: int, follower: int) -> bool:
        """Whether two tokens behind `target` make its last word longer."""
        return lengthens(target, str(self._tokenizer.decode([token, follower])))

    def _mask(self, number: bool, surely: bool) -> Tensor:
        sample = "0" if number else "a"
        barred = SEPARATORS if number and surely else frozenset()
        allowed = [
            bool(text)
            and PARTIAL not in text
            and text[0] != "-"
            and text not in barred
            and not lengthens(sample, text)
            for text in self._texts()
        ]
        mask = torch.zeros(self._vocabulary, dtype=torch.bool)
        mask[: len(allowed)] = torch.tensor(allowed[: self._vocabulary])
        special = [t for t in self._tokenizer.all_special_ids if t < self._vocabulary]
        mask[special] = False
        mask[[token for token in self._ends if token < self._vocabulary]] = True
        return mask

    def _texts(self) -> Sequence[str]:
        """What each token adds to a text that goes before it: some decoders drop a first space."""
        stub = self._tokenizer("a", add_special_tokens=False)["input_ids"]
        before = len(self._tokenizer.decode(stub))
        count = min(len(self._tokenizer), self._vocabulary)
        whole = self._tokenizer.batch_decode([[*stub, token] for token in range(count)])
        return [text[before:] for text in whole]
