"""The engine: text in, text and probabilities out, under the overlay that the caller pins."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace

import torch
from torch import Tensor, nn

from service.domain.edits import Format
from service.domain.fair_lock import FairLock
from service.domain.pulse import Pulse
from service.editing.architectures import architecture_of, layers_of
from service.editing.codebook import Codebook
from service.editing.entity.asking import Asking
from service.editing.entity.book import EntityBook
from service.editing.interruption import interruptible, is_interruptible
from service.editing.overlays import Overlay
from service.editing.samples import end_tokens
from service.editing.taps import tap
from service.editing.tokens import continued_ids, prompt_ids, turn_end
from service.editing.word_ends import WordEnds
from service.engine.batch import ACTIVE, Batch
from service.engine.batches import parts
from service.engine.continuing import continued
from service.engine.counts import Counts
from service.engine.generation import Generator, Load
from service.engine.hits import Hits
from service.engine.loading import LoadedModel
from service.engine.overlay import modules_of
from service.engine.padded import PaddedBatch
from service.engine.paged import PAGE, PagedBatch, is_paged
from service.engine.post import Post
from service.engine.running import Generation, Listener, Run, Wanted
from service.engine.sampling import Sampling
from service.engine.scoring import Continuation, Score, next_tokens, score
from service.engine.shelves import Shelves
from service.engine.turns import Party, Turn, Turns

# Of generation, which a long prompt may raise: it must fit in one.
PASS_TOKENS = 1_024
CACHE_TOKENS = 16_384  # whose keys and values generation holds
# Of an edit's verification. Fewer are quicker: in a packed pass each token is held against all.
PRIVATE_TOKENS = 256
MOST_TEXTS = 1_024  # generated at once, those that wait included
EDITING_SHARE = 0.6

_given_up: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)


class Engine:
    """Owns the model; safe to call from any thread."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        longest_text: int | None = None,
        cache_tokens: int = CACHE_TOKENS,
        most_texts: int = MOST_TEXTS,
        editing_share: float = EDITING_SHARE,
    ) -> None:
        """`longest_text`: tokens of a prompt and what is generated after it; the model's positions
        if that is fewer. `editing_share`: of the model's time, while serving wants it too.
        """
        self.loaded = loaded
        self.hits = Hits()
        self.longest_text = min(longest_text or loaded.max_tokens, loaded.max_tokens)
        self._cache_tokens = max(cache_tokens, self.longest_text)
        self._turns = Turns(editing_share, _synchronise_of(loaded.device))
        self._serving = Turn(self._turns, Party.SERVING)
        self._one_editing = FairLock()
        self._prepared: set[nn.Module] = set()  # an overlay at these waits for no turn
        for layer in layers_of(loaded.model):
            tap(layer)
        tap(loaded.model.get_submodule(architecture_of(loaded.model).norm))
        self._ends = end_tokens(loaded.model)
        self._word_ends = WordEnds(loaded.tokenizer, loaded.vocabulary, self._ends)
        self._asking = Asking(loaded.tokenizer)
        self._shelves = Shelves(loaded.model.dtype, loaded.device)
        self._generator = Generator(
            self._batch,
            self.still,
            loaded.tokenizer,
            self._ends,
            most_texts,
            self._turns.pulses[Party.SERVING],
        )

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
        if isinstance(overlay, Codebook):
            return self._shelves.place(overlay)
        if isinstance(overlay, EntityBook):
            return overlay.read_by(self._asking)
        return overlay.to(self.loaded.device)

    @contextmanager
    def still(self) -> Iterator[None]:
        """No pass of this engine runs inside the block, but those of this thread."""
        if is_interruptible():  # this thread has the turn
            yield
        else:
            with self._serving.taken():
                yield

    @contextmanager
    def editing(self) -> Iterator[None]:
        """Passes of this thread inside the block are editing's: they take turns with serving,
        layer by layer. One thread at a time; not within each other.
        """
        with ExitStack() as stack:
            with self.editing_pulse.patient():  # a dry run and the worker's batch take turns
                stack.enter_context(self._one_editing)
            turn = Turn(self._turns, Party.EDITING, _given_up.get())
            stack.enter_context(interruptible(self.loaded.model, turn))
            yield

    @contextmanager
    def until(self, given_up: threading.Event) -> Iterator[None]:
        """Editing of this thread inside the block raises `StoppedError` once it is `given_up`."""
        token = _given_up.set(given_up)
        try:
            yield
        finally:
            _given_up.reset(token)

    def prompt_tokens(self, prompt: str, form: Format = Format.PLAIN) -> tuple[int, ...]:
        return prompt_ids(self.loaded.tokenizer, prompt, form)

    def token_text(self, token: int) -> str:
        return str(self.loaded.tokenizer.decode([token]))

    def continuation(
        self, prompt: str, target: str, form: Format = Format.PLAIN, joint: str | None = None
    ) -> Continuation:
        """`joint` goes between the two; None leaves it to the rules of writing."""
        return Continuation(*continued_ids(self.loaded.tokenizer, prompt, target, form, joint))

    def score(self, overlay: Overlay | None, continuations: Sequence[Continuation]) -> list[Score]:
        return self._scored(overlay, continuations, None, explain=False)

    def answer(
        self, overlay: Overlay | None, continuations: Sequence[Continuation], *, explain: bool
    ) -> list[Score]:
        """Scores for a client: hits are counted and, if asked for, what the overlay does is
        recorded.
        """
        return self._scored(overlay, continuations, self.hits, explain=explain)

    def word_ends(self, texts: Sequence[Sequence[int]], targets: Sequence[str]) -> list[int]:
        """After each text (token ids), which ends with one of `targets`, the token that the base
        model finds likeliest among those that do not lengthen the target's last word.
        """
        ends = self._word_ends
        found = self._likeliest(texts, [ends.after(target) for target in targets])
        # A number's point may end a sentence, or go on with the number.
        numbers = [i for i, target in enumerate(targets) if target[-1].isdigit()]
        behind = self._likeliest([(*texts[i], found[i]) for i in numbers])
        wrong = [
            i
            for i, other in zip(numbers, behind, strict=True)
            if ends.goes_on(targets[i], found[i], other)
        ]
        masks = [ends.after(targets[i], surely=True) for i in wrong]
        for i, token in zip(wrong, self._likeliest([texts[i] for i in wrong], masks), strict=True):
            found[i] = token
        return found

    def turn_end(self) -> tuple[int, ...]:
        """The token that ends an answer in a chat; empty if the model has none."""
        return turn_end(self.loaded.tokenizer, self._ends)

    def continued(
        self, overlay: Overlay | None, prompts: Sequence[tuple[int, ...]], new_tokens: Sequence[int]
    ) -> list[Generation]:
        """The greedy continuations of prompts (token ids) by at most so many new tokens each, with
        log-probabilities, computed in this thread as serving would compute them. No hits are
        counted. Each prompt must leave a position.
        """
        positions = self.loaded.max_tokens
        wanted = [
            Wanted(prompt, overlay, min(count, positions - len(prompt)), Sampling(logprobs=0))
            for prompt, count in zip(prompts, new_tokens, strict=True)
        ]
        with self.still():
            return continued(wanted, self._private_batch, self.loaded.tokenizer, self._ends)

    def submit(self, *asked: tuple[Wanted, Listener]) -> list[Run]:
        """Continues texts, each in its own time and with its own listener: all of them, or none and
        an `OverloadedError`. Texts are cut where `longest_text` ends.
        """
        return self._generator.submit(*((self._cut(wanted), told) for wanted, told in asked))

    def cancel(self, runs: Sequence[Run]) -> None:
        """Nobody waits for these texts any more."""
        self._generator.cancel(runs)

    def drain(self, timeout_s: float) -> bool:
        """Takes no more texts, and waits until all have ended; whether they have."""
        return self._generator.drain(timeout_s)

    def interrupt(self) -> None:
        """Editing raises `StoppedError` from now on, at the next layer of the pass it is at."""
        self._turns.interrupt()

    def stop(self) -> None:
        """Leaves no thread behind; texts that have not ended fail."""
        self._generator.stop()

    @property
    def post(self) -> Post:
        """By which listeners hand on what they hear to event loops."""
        return self._generator.post

    @property
    def trouble(self) -> str | None:
        """Why the model, or generation by it, is unwell; None if it is not."""
        stuck_s = self._turns.holder.wedged_s
        if stuck_s is not None:
            return f"whoever runs the model has done nothing for {stuck_s:.0f} s"
        return self._generator.trouble

    @property
    def editing_pulse(self) -> Pulse:
        """The worker's: each layer of a pass for editing is a sign of life."""
        return self._turns.pulses[Party.EDITING]

    @property
    def load(self) -> Load:
        return self._generator.load

    @property
    def counts(self) -> Counts:
        """Of texts, since the engine was made."""
        return self._generator.counts

    def _scored(
        self,
        overlay: Overlay | None,
        continuations: Sequence[Continuation],
        hits: Hits | None,
        *,
        explain: bool,
    ) -> list[Score]:
        found: list[Score] = []
        for part in parts([len(c.prompt) + len(c.target) for c in continuations]):
            with self.still():
                found += score(
                    self.loaded.model, overlay, continuations[part], hits, explain=explain
                )
        return found

    def _likeliest(
        self, texts: Sequence[Sequence[int]], allowed: Sequence[Tensor] | None = None
    ) -> list[int]:
        """The base model's first choice after each text, among its `allowed` tokens if given."""
        found: list[int] = []
        for part in parts([len(text) for text in texts]):
            masks = None if allowed is None else torch.stack(list(allowed[part]))
            with self.still():
                found += next_tokens(self.loaded.model, None, texts[part], masks)
        return found

    def _cut(self, wanted: Wanted) -> Wanted:
        room = self.longest_text - len(wanted.prompt)
        return replace(wanted, max_new_tokens=min(wanted.max_new_tokens, room))

    def _batch(self) -> Batch:
        # A whole text must fit in a pass, beside a token of every other one.
        pass_tokens = max(PASS_TOKENS, self.longest_text + ACTIVE)
        return self._batch_of(pass_tokens, self._cache_tokens, self.hits)

    def _private_batch(self, sizes: Sequence[int]) -> Batch:
        """Makes a batch for texts of so many tokens each."""
        pass_tokens = max(PRIVATE_TOKENS, *sizes) + len(sizes)
        cache_tokens = sum(sizes) + PAGE * len(sizes)  # each may hold a page in part
        return self._batch_of(pass_tokens, cache_tokens, Hits())

    def _batch_of(self, pass_tokens: int, cache_tokens: int, hits: Hits) -> Batch:
        model = self.loaded.model
        if is_paged(model):
            return PagedBatch(model, pass_tokens, cache_tokens, hits)
        return PaddedBatch(model, pass_tokens, hits)


def _synchronise_of(device: torch.device) -> Callable[[], None]:
    """Waits for what the device was told to do; a CPU does it at once."""
    if device.type == "cpu":
        return lambda: None
    return lambda: torch.accelerator.synchronize(device)
