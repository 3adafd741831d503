"""Sees to it that the radii that `grace` goes by are there: each site's are measured once."""

import torch

from service.domain.edits import Format
from service.domain.progress import Advance
from service.editing.codebook import Site
from service.editing.deferral_radii import DeferralRadii, measured
from service.editing.entity.stock import Question, bare_stock
from service.editing.grace import Grace, GraceHyperparameters
from service.editing.splitting import Splitting
from service.editing.tokens import prompt_ids
from service.engine.engine import Engine
from service.operations.stock_measurements import StockMeasurements
from service.storage.statistics import StatisticsStore

WORDINGS = 2  # of each question of the stock


class CodebookRadii(StockMeasurements[Site, DeferralRadii]):
    def __init__(self, engine: Engine, store: StatisticsStore, splitting: Splitting) -> None:
        super().__init__(engine, store)
        self._splitting = splitting

    def _measure(self, place: Site, advance: Advance) -> DeferralRadii:
        loaded = self._engine.loaded
        with self._engine.still():
            hyperparameters = GraceHyperparameters(place.layer, place.module, place.replacement)
            editor = Grace(loaded.model, hyperparameters, splitting=self._splitting)
        questions = sorted(bare_stock(WORDINGS), key=lambda question: len(question.text))
        forms = tuple(Format) if loaded.chats else (Format.PLAIN,)
        radii = {form.value: self._radius(editor, questions, form, advance) for form in forms}
        return DeferralRadii(**radii)

    def _radius(
        self, editor: Grace, questions: list[Question], form: Format, advance: Advance
    ) -> float:
        tokenizer = self._engine.loaded.tokenizer
        what = f"the radius at layer {editor.site.layer}, {form} questions"
        keys = []
        for some in self._parts(what, questions, advance):
            prompts = [prompt_ids(tokenizer, question.text, form) for question in some]
            with self._engine.editing():
                keys.append(editor.keys(prompts))
        return measured(questions, torch.cat(keys))

    def _read(self, place: Site) -> DeferralRadii | None:
        return self._store.load_radii(self._source, place.layer, place.module)

    def _save(self, place: Site, found: DeferralRadii) -> None:
        self._store.save_radii(self._source, place.layer, place.module, found)
