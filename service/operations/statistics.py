"""Sees to it that what hook-layer editors need to know of the model is there: statistics of its
keys, context templates, unrelated text. Made once, from a text file or the model's own samples.
"""

import hashlib
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from service.domain.progress import Advance, quiet
from service.editing.architectures import down_projection_of, weight_of
from service.editing.key_statistics import KeyStatistics
from service.editing.samples import SEED, sample, start_token, templates_of
from service.editing.tokens import prompt_ids
from service.engine.engine import Engine
from service.errors import ConflictError, StartupError, StoppedError
from service.storage.statistics import StatisticsStore

TEXT_TOKENS = 128  # of one piece of a text file
SAMPLE_TOKENS = 64  # of one sample
SAMPLES_AT_ONCE = 64
TEXTS_AT_ONCE = 16
SAVE_EVERY_S = 60.0  # how much work an interruption may cost
BLOCK = 1 << 16  # characters read at a time
UNRELATED_TEXTS = 16
LEAST_TOKENS = 8  # of a text that is of use


class Statistics:
    def __init__(
        self, engine: Engine, store: StatisticsStore, text: Path | None, multiplier: int
    ) -> None:
        """`text`: a file to take in place of own samples; `multiplier` times d_in keys are used
        (FastMEMIT's dynamic multiplier). Raises `StartupError` for a file that can't be read.
        """
        self._engine = engine
        self._loaded = engine.loaded
        self._store = store
        self._text = text
        self._multiplier = multiplier
        self._source = f"{_name_of(text)}-{multiplier}x"
        self._lock = threading.Lock()  # one thread makes what others wait for
        self._stopping = threading.Event()
        self._loaded_ones: dict[tuple[str, int], KeyStatistics] = {}
        self._own: list[tuple[int, ...]] = []  # text of the model's own, as far as it is known
        self.doing: str | None = None  # what is being made at the moment

    def check(self, layers: Sequence[int]) -> None:
        """Raises `StartupError` if the text file is too small for the keys that are asked for."""
        if self._text is not None and self._missing(layers):
            self._texts(self._text, self._wanted(layers))

    def ready(self, layers: Sequence[int]) -> bool:
        return not self._missing(layers)

    def of(self, layers: Sequence[int], advance: Advance | None = None) -> dict[int, KeyStatistics]:
        """Those of each layer, made first where they are missing; takes up what an interruption
        left. Raises `StoppedError` when it is told to stop.
        """
        with self._lock:
            try:
                missing = self._missing(layers)
                if missing:
                    self._make(missing, advance or quiet)
            finally:
                self.doing = None
        found = {number: self._load(self._source, number) for number in layers}
        return {number: one for number, one in found.items() if one is not None}

    def recorded(self, recorded: dict[str, dict[str, str]]) -> dict[int, KeyStatistics]:
        """Those that a batch was made with. Raises `ConflictError` if they are not there as they
        were.
        """
        found = {}
        for number, known in recorded.items():
            one = self._load(known["source"], int(number))
            if one is None or one.digest != known["sha256"]:
                raise ConflictError(
                    f"the statistics of layer {number} ({known['source']}) are not those that the "
                    "log was made with: put the folder `statistics` back from a backup"
                )
            found[int(number)] = one
        return found

    def templates(self, tokens: int) -> list[list[str]]:
        """Context templates, of `tokens` tokens of the model's own text."""
        with self._lock:
            texts = self._usable(self._samples(1, quiet))
            return templates_of(self._loaded.tokenizer, texts, tokens)

    def unrelated_texts(self) -> list[tuple[int, ...]]:
        """Some texts that no edit is about, as token ids."""
        with self._lock:
            texts = self._unrelated(TEXT_TOKENS * UNRELATED_TEXTS, quiet)
            return self._usable(texts)[:UNRELATED_TEXTS]

    def stop(self) -> None:
        self._stopping.set()

    def _usable(self, texts: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return [text for text in texts if len(text) >= LEAST_TOKENS]

    def _load(self, source: str, layer: int) -> KeyStatistics | None:
        if (source, layer) not in self._loaded_ones:
            found = self._store.load(source, layer)
            if found is None:
                return None
            self._loaded_ones[source, layer] = found
        return self._loaded_ones[source, layer]

    def _missing(self, layers: Sequence[int]) -> list[int]:
        return [n for n in layers if self._load(self._source, n) is None]

    def _wanted(self, layers: Sequence[int]) -> int:
        widths = [weight_of(down_projection_of(self._loaded.model, n)).shape[1] for n in layers]
        return self._multiplier * max(widths)

    def _make(self, layers: Sequence[int], advance: Advance) -> None:
        wanted = self._wanted(layers)
        texts = self._unrelated(wanted, advance)
        what = f"statistics of layers {', '.join(map(str, layers))}"
        progress = self._store.load_progress(self._source, layers)
        saved = time.monotonic()
        while progress.vectors < wanted:
            self._tell(what, progress.vectors, wanted, advance)
            some = texts[progress.texts : progress.texts + TEXTS_AT_ONCE]
            with self._engine.editing():
                progress.add(self._loaded.model, some)
            if self._stopping.is_set() or time.monotonic() - saved > SAVE_EVERY_S:
                self._store.save_progress(self._source, progress)
                saved = time.monotonic()
        self._tell(what, wanted, wanted, advance)
        for number, one in progress.statistics(self._source).items():
            self._store.save(number, one)
        self._store.drop_progress(self._source)

    def _unrelated(self, wanted: int, advance: Advance) -> list[tuple[int, ...]]:
        if self._text is None:
            return self._samples(wanted, advance)
        return self._texts(self._text, wanted)

    def _samples(self, wanted: int, advance: Advance) -> list[tuple[int, ...]]:
        """The model's own texts, of `wanted` tokens at least; those that are missing are made."""
        model, tokenizer = self._loaded.model, self._loaded.tokenizer
        texts = self._own or self._store.samples()
        start = start_token(tokenizer)
        # A prompt begins with the start token only where the tokenizer puts it there.
        skipped = 0 if prompt_ids(tokenizer, "a")[:1] == (start,) else 1
        length = min(SAMPLE_TOKENS, self._loaded.max_tokens)
        made = 0
        while (count := sum(map(len, texts))) < wanted:
            self._tell("text of the model's own", count, wanted, advance)
            with self._engine.editing():
                more = sample(model, start, SAMPLES_AT_ONCE, length, SEED + len(texts) + made)
            made += 1
            texts += [text[skipped:] for text in more if len(text) > skipped]
            self._store.save_samples(texts)
        self._own = texts
        return texts

    def _texts(self, file: Path, wanted: int) -> list[tuple[int, ...]]:
        """Pieces of a text file, of `wanted` tokens at least."""
        tokenizer = self._loaded.tokenizer
        tokens: list[int] = []
        with file.open(encoding="utf-8", errors="replace") as opened:
            while len(tokens) < wanted and (block := opened.read(BLOCK)):
                tokens += tokenizer(block, add_special_tokens=False, verbose=False)["input_ids"]
        if len(tokens) < wanted:
            raise StartupError(
                f"ERRATA_STATISTICS_TEXT has {len(tokens)} tokens, and {wanted} are asked for "
                f"({self._multiplier} for each of the {wanted // self._multiplier} inputs of a "
                "layer): name a longer text, or lower ERRATA_DYNAMIC_MULTIPLIER"
            )
        return [tuple(tokens[i : i + TEXT_TOKENS]) for i in range(0, len(tokens), TEXT_TOKENS)]

    def _tell(self, what: str, done: int, total: int, advance: Advance) -> None:
        if self._stopping.is_set():
            raise StoppedError
        self.doing = f"{what}: {min(done / total, 1.0):.0%}"
        advance(what, min(done, total), total)


def _name_of(text: Path | None) -> str:
    if text is None:
        return "samples"
    try:
        with text.open("rb") as file:
            return f"text-{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    except OSError as error:
        raise StartupError(
            f"ERRATA_STATISTICS_TEXT {text} can't be read: {error.strerror}"
        ) from error
