"""The engine: text in, text and probabilities out, under the overlay that the caller pins."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from service.editing.codebook import Codebook, Site
from service.editing.tokens import prompt_ids, target_ids
from service.engine.generation import FinishReason, decode
from service.engine.loading import LoadedModel
from service.engine.overlay import prepare
from service.engine.scoring import Continuation, Score, next_tokens, score


@dataclass(frozen=True)
class Generation:
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


class Engine:
    """Owns the model; safe to call from any thread."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._end_tokens = _end_tokens(loaded)
        # Forward passes use all cores, so that two at a time would only slow each other.
        self._turn = threading.Lock()
        self._prepared: set[Site] = set()  # a known site's overlays wait for no turn

    def place(self, overlay: Codebook) -> Codebook:
        """Moves an overlay to the model's device and hooks the module that it sits at."""
        if overlay.site is not None and overlay.site not in self._prepared:
            with self._turn:
                prepare(self.loaded.model, overlay.site)
            self._prepared.add(overlay.site)
        return overlay.to(self.loaded.device)

    def prompt_tokens(self, prompt: str) -> tuple[int, ...]:
        return tuple(prompt_ids(self.loaded.tokenizer, prompt))

    def continuation(self, prompt: str, target: str) -> Continuation:
        return Continuation(
            self.prompt_tokens(prompt), tuple(target_ids(self.loaded.tokenizer, prompt, target))
        )

    def score(self, overlay: Codebook, continuations: Sequence[Continuation]) -> list[Score]:
        with self._turn:
            return score(self.loaded.model, overlay, continuations)

    def next_tokens(self, overlay: Codebook, prompts: Sequence[Sequence[int]]) -> list[int]:
        """The first choice after each prompt (token ids)."""
        with self._turn:
            return next_tokens(self.loaded.model, overlay, prompts)

    def generate(self, overlay: Codebook, prompt: str, max_new_tokens: int) -> Generation:
        """Greedy continuation of one prompt, cut where the model's positions end."""
        tokens = self.prompt_tokens(prompt)
        room = min(max_new_tokens, self.loaded.max_tokens - len(tokens))
        with self._turn:
            (decoded,) = decode(self.loaded.model, overlay, [tokens], room, self._end_tokens)
        return Generation(
            text=str(self.loaded.tokenizer.decode(list(decoded.tokens))),
            finish_reason=decoded.finish_reason,
            prompt_tokens=len(tokens),
            completion_tokens=len(decoded.tokens),
        )


def _end_tokens(loaded: LoadedModel) -> frozenset[int]:
    ends = loaded.model.generation_config.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or [])
