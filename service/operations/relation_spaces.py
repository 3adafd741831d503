"""Sees to it that the relation spaces that `entity` goes by are there: each is fitted once."""

import threading

import torch

from service.domain.progress import Advance, quiet
from service.editing.entity.asking import Asking
from service.editing.entity.relation_fit import fit
from service.editing.entity.relation_space import RelationSpace
from service.editing.entity.states import Asked, features_of
from service.editing.entity.stock import digest, stock
from service.editing.splitting import Splitting
from service.editing.tokens import prompt_ids
from service.engine.engine import Engine
from service.errors import StoppedError
from service.storage.statistics import StatisticsStore

Layers = tuple[int, int]  # where last tokens are read, and sentences
AT_ONCE = 256  # texts between two looks at whether to stop
PREFIX = 16  # characters of the stock's digest that name it


class RelationSpaces:
    """Safe to use from any thread."""

    def __init__(self, engine: Engine, store: StatisticsStore, splitting: Splitting) -> None:
        self._engine = engine
        self._store = store
        self._splitting = splitting
        self._source = f"questions-{digest()[:PREFIX]}"
        self._lock = threading.Lock()  # one thread fits what others wait for
        self._stopping = threading.Event()
        self._known: dict[Layers, RelationSpace] = {}
        self.doing: str | None = None  # what is being made at the moment

    def ready(self, layers: Layers) -> bool:
        return self._load(layers) is not None

    def of(self, layers: Layers, advance: Advance | None = None) -> RelationSpace:
        """That of two layers, fitted first where it is missing. Raises `StoppedError` when it is
        told to stop.
        """
        with self._lock:
            found = self._load(layers)
            if found is None:
                try:
                    found = self._fit(layers, advance or quiet)
                finally:
                    self.doing = None
                self._store.save_space(self._source, found)
                self._known[layers] = found
            return found

    def stop(self) -> None:
        self._stopping.set()

    def _load(self, layers: Layers) -> RelationSpace | None:
        if layers not in self._known:
            found = self._store.load_space(self._source, *layers)
            if found is not None:
                self._known[layers] = found
        return self._known.get(layers)

    def _fit(self, layers: Layers, advance: Advance) -> RelationSpace:
        loaded = self._engine.loaded
        asking = Asking(loaded.tokenizer)
        questions = sorted(stock(), key=lambda question: len(question.text))
        what = "the relation space of layers {} and {}".format(*layers)
        features = []
        for start in range(0, len(questions), AT_ONCE):
            if self._stopping.is_set():
                raise StoppedError
            self.doing = f"{what}: {start / len(questions):.0%}"
            advance(what, start, len(questions))
            texts = [
                Asked.of(asking, prompt_ids(loaded.tokenizer, question.text))
                for question in questions[start : start + AT_ONCE]
            ]
            with self._engine.editing():
                features.append(features_of(loaded.model, *layers, texts, self._splitting))
        advance(what, len(questions), len(questions))
        states, means = (torch.cat(side) for side in zip(*features, strict=True))
        return fit(*layers, questions, states, means)
