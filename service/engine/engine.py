"""The engine: text in, text and probabilities out, under the overlay that the caller pins."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from service.domain.edits import Format
from service.editing.overlays import Overlay
from service.editing.samples import end_tokens
from service.editing.taps import tap
from service.editing.tokens import prompt_ids, target_ids
from service.engine.generation import FinishReason, decode
from service.engine.loading import LoadedModel
from service.engine.overlay import modules_of
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
        self._end_tokens = end_tokens(loaded.model)
        # Forward passes use all cores, so that two at a time would only slow each other.
        self._turn = threading.Lock()
        self._prepared: set[nn.Module] = set()  # an overlay at these waits for no turn

    def place(self, overlay: Overlay | None) -> Overlay | None:
        """Moves an overlay to the model's device and hooks the modules that it acts at."""
        if overlay is None:
            return None
        fresh = set(modules_of(self.loaded.model, overlay)) - self._prepared
        if fresh:
            with self.still():
                for module in fresh:
                    tap(module)
            self._prepared |= fresh
        return overlay.to(self.loaded.device)

    @contextmanager
    def still(self) -> Iterator[None]:
        """No pass of this engine runs inside the block."""
        with self._turn:
            yield

    def prompt_tokens(self, prompt: str, form: Format = Format.PLAIN) -> tuple[int, ...]:
        return prompt_ids(self.loaded.tokenizer, prompt, form)

    def continuation(self, prompt: str, target: str, form: Format = Format.PLAIN) -> Continuation:
        return Continuation(
            self.prompt_tokens(prompt, form),
            target_ids(self.loaded.tokenizer, prompt, target, form),
        )

    def score(self, overlay: Overlay | None, continuations: Sequence[Continuation]) -> list[Score]:
        with self._turn:
            return score(self.loaded.model, overlay, continuations)

    def next_tokens(self, overlay: Overlay | None, prompts: Sequence[Sequence[int]]) -> list[int]:
        """The first choice after each prompt (token ids)."""
        with self._turn:
            return next_tokens(self.loaded.model, overlay, prompts)

    def generate(
        self,
        overlay: Overlay | None,
        prompt: str,
        max_new_tokens: int,
        form: Format = Format.PLAIN,
    ) -> Generation:
        """Greedy continuation of one prompt, cut where the model's positions end."""
        tokens = self.prompt_tokens(prompt, form)
        room = min(max_new_tokens, self.loaded.max_tokens - len(tokens))
        with self._turn:
            (decoded,) = decode(self.loaded.model, overlay, [tokens], room, self._end_tokens)
        return Generation(
            text=str(self.loaded.tokenizer.decode(list(decoded.tokens))),
            finish_reason=decoded.finish_reason,
            prompt_tokens=len(tokens),
            completion_tokens=len(decoded.tokens),
        )
