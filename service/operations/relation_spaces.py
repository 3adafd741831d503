"""Sees to it that the relation spaces that `entity` goes by are there: each is fitted once."""

import torch

from service.domain.progress import Advance
from service.editing.entity.asking import Asking
from service.editing.entity.relation_fit import fit
from service.editing.entity.relation_space import RelationSpace
from service.editing.entity.states import Asked, features_of
from service.editing.entity.stock import stock
from service.editing.splitting import Splitting
from service.editing.tokens import prompt_ids
from service.engine.engine import Engine
from service.operations.stock_measurements import StockMeasurements
from service.storage.statistics import StatisticsStore

Layers = tuple[int, int]  # where last tokens are read, and sentences


class RelationSpaces(StockMeasurements[Layers, RelationSpace]):
    def __init__(self, engine: Engine, store: StatisticsStore, splitting: Splitting) -> None:
        super().__init__(engine, store)
        self._splitting = splitting

    def _measure(self, place: Layers, advance: Advance) -> RelationSpace:
        loaded = self._engine.loaded
        asking = Asking(loaded.tokenizer)
        questions = sorted(stock(), key=lambda question: len(question.text))
        features = []
        for some in self._parts(
            "the relation space of layers {} and {}".format(*place), questions, advance
        ):
            texts = [
                Asked.of(asking, prompt_ids(loaded.tokenizer, question.text)) for question in some
            ]
            with self._engine.editing():
                features.append(features_of(loaded.model, *place, texts, self._splitting))
        states, means = (torch.cat(side) for side in zip(*features, strict=True))
        return fit(*place, questions, states, means)

    def _read(self, place: Layers) -> RelationSpace | None:
        return self._store.load_space(self._source, *place)

    def _save(self, place: Layers, found: RelationSpace) -> None:  # noqa: ARG002  # it names its own
        self._store.save_space(self._source, found)
