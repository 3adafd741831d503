"""Editors, each built once for its hyperparameters."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.domain.batches import Batch
from service.domain.edits import Correction
from service.domain.progress import Advance
from service.domain.subject_finding import names_nothing
from service.editing.arithmetic import CURRENT, Arithmetic
from service.editing.deferral_radii import DeferralRadii
from service.editing.editor import AnyEditor
from service.editing.entity.editor import Entity, EntityHyperparameters
from service.editing.entity.relation_space import RelationSpace
from service.editing.grace import EARLIEST, Grace, GraceHyperparameters, site_of
from service.editing.hyperparameters import (
    Hyperparameters,
    hyperparameters_of,
    structure_of,
)
from service.editing.key_statistics import KeyStatistics
from service.editing.locate import (
    ARITHMETIC,
    BESIDE_HYPERPARAMETERS,
    STATISTICS,
    TEMPLATES,
    LocateEditor,
    Templates,
)
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.positions import subject_tokens
from service.editing.preset_files import Preset, bundled_preset
from service.editing.splitting import Splitting
from service.editing.tokens import prompt_of
from service.engine.engine import Engine
from service.errors import ConflictError, FieldError, InvalidRequestError
from service.operations.codebook_radii import CodebookRadii
from service.operations.relation_spaces import RelationSpaces
from service.operations.statistics import Statistics

CACHED = 8  # editors; each may hold a matrix [d_in, d_in] for each of its layers


def is_earliest(batch: Batch) -> bool:
    """Whether a codebook's batch was inserted before its rule was recorded."""
    return batch.editor == Grace.name and not EARLIEST.keys() <= batch.hyperparameters.keys()


class Editors:
    """Safe to use from any thread."""

    def __init__(
        self,
        engine: Engine,
        statistics: Statistics,
        spaces: RelationSpaces,
        radii: CodebookRadii,
        preset: Preset,
        max_tokens_per_step: int,
    ) -> None:
        """`preset` goes before what is bundled for the model. Raises `InvalidRequestError` for one
        that does not fit the model.
        """
        self._engine = engine
        self._statistics = statistics
        self._spaces = spaces
        self._radii = radii
        self._presets = (bundled_preset(engine.loaded.name), preset)
        self._splitting = Splitting(max_tokens_per_step)
        self._built: OrderedDict[str, AnyEditor] = OrderedDict()
        self._lock = threading.Lock()  # of `_built`: held over no work
        for name in preset.editors:
            self._hyperparameters(name, {})

    def layers(self, name: str) -> tuple[int, ...]:
        """The layers whose statistics an editor needs."""
        found = self._hyperparameters(name, {})
        return found.layers if isinstance(found, LocateHyperparameters) else ()

    def space(self, name: str, advance: Advance | None = None) -> RelationSpace | None:
        """The relation space that an editor goes by, fitted first where it is missing."""
        found = self._hyperparameters(name, {})
        if not isinstance(found, EntityHyperparameters):
            return None
        return self._spaces.of((found.layer, found.sentence_layer), advance)

    def radii(self, name: str, advance: Advance | None = None) -> DeferralRadii | None:
        """The radii that an editor's keys begin with, measured first where nothing says them; None
        for an editor without a codebook of states.
        """
        found = self._hyperparameters(name, {})
        if not isinstance(found, GraceHyperparameters):
            return None
        if found.radius is not None:
            return DeferralRadii(found.radius, found.radius if self._engine.loaded.chats else None)
        return self._radii.of(site_of(found), advance)

    def ready(self, name: str, overrides: Mapping[str, Any] | None = None) -> bool:
        """Whether all that an editor needs to know of the model is there."""
        found = self._hyperparameters(name, overrides or {})
        if isinstance(found, EntityHyperparameters):
            return self._spaces.ready((found.layer, found.sentence_layer))
        if isinstance(found, GraceHyperparameters):
            return found.radius is not None or self._radii.ready(site_of(found))
        return self._statistics.ready(found.layers)

    def prepare(self, name: str) -> None:
        """Makes what is missing of it. Raises `StoppedError` when it is told to stop: what was made
        is kept.
        """
        if self.space(name) is None and self.radii(name) is None:
            self._statistics.of(self.layers(name))

    @property
    def doing(self) -> str | None:
        """What is being made at the moment."""
        return self._statistics.doing or self._spaces.doing or self._radii.doing

    def stop(self) -> None:
        """Leaves off what is being made."""
        self._statistics.stop()
        self._spaces.stop()
        self._radii.stop()

    def check(self, correction: Correction) -> list[FieldError]:
        """What its editor misses in a correction whose hyperparameters are right."""
        found = self._hyperparameters(correction.editor, correction.hyperparameters)
        if isinstance(found, GraceHyperparameters):
            return []
        if isinstance(found, EntityHyperparameters):
            if correction.subject is not None and names_nothing(correction.subject):
                reason = "names nothing: nearly every text has it"
                return [FieldError("subject", reason)]
            return []
        if correction.subject is None:
            reason = f"'{correction.editor}' goes by it: name the span that the fact is about"
            return [FieldError("subject", reason)]
        tokenizer = self._engine.loaded.tokenizer
        prompt = prompt_of(tokenizer, correction.prompt, correction.format.forms[0])
        try:
            subject_tokens(prompt, correction.subject, found.position)
        except ValueError as error:
            return [FieldError("subject", str(error))]
        return []

    def structure(self, correction: Correction) -> str:
        """What its editor keeps edits in. Raises `InvalidRequestError` for hyperparameters that the
        editor can't take.
        """
        found = self._hyperparameters(correction.editor, correction.hyperparameters)
        return structure_of(correction.editor, found)

    def structure_of_batch(self, batch: Batch) -> str:
        return structure_of(batch.editor, self._recorded(batch))

    def editor(self, name: str, overrides: Mapping[str, Any]) -> AnyEditor:
        """Waits for statistics that are still to be made."""
        found = self._hyperparameters(name, overrides)
        if isinstance(found, GraceHyperparameters):
            measured = None if found.radius is not None else self._radii.of(site_of(found))
            return self._grace(found, measured)
        if isinstance(found, EntityHyperparameters):
            return self._entity(found, self._spaces.of((found.layer, found.sentence_layer)))
        statistics = self._statistics.of(found.layers)
        templates = self._statistics.templates(found.context_tokens)
        return self._locate(name, found, statistics, templates, CURRENT)

    def recorded(self, batch: Batch, *, repaired: bool = False) -> AnyEditor:
        """The editor that a batch was made by; `repaired` with today's rule of insertion. Raises
        `ConflictError` where what it needs is not there.
        """
        found = self._recorded(batch, repaired=repaired)
        if isinstance(found, GraceHyperparameters):
            return self._grace(found, None)
        if isinstance(found, EntityHyperparameters):
            return self._entity(found, None)
        statistics = self._statistics.recorded(batch.hyperparameters.get(STATISTICS, {}))
        templates = batch.hyperparameters.get(TEMPLATES, [])
        return self._locate(batch.editor, found, statistics, templates, _arithmetic_of(batch))

    def _recorded(self, batch: Batch, *, repaired: bool = False) -> Hyperparameters:
        chosen = {n: v for n, v in batch.hyperparameters.items() if n not in BESIDE_HYPERPARAMETERS}
        if is_earliest(batch) and not repaired:
            chosen = {**EARLIEST, **chosen}
        return hyperparameters_of(self._engine.loaded.model, batch.editor, chosen)

    def _hyperparameters(self, name: str, overrides: Mapping[str, Any]) -> Hyperparameters:
        quantization = self._engine.loaded.quantization
        if quantization is not None and name in METHODS:
            reason = (
                f"'{name}' changes weights, and this model's are in {quantization}: only "
                f"'{Grace.name}' and '{Entity.name}' edit a quantised model"
            )
            raise InvalidRequestError([FieldError("editor", reason)])
        presets = [preset.of(name) for preset in self._presets]
        return hyperparameters_of(self._engine.loaded.model, name, *presets, overrides)

    def _grace(self, found: GraceHyperparameters, radii: DeferralRadii | None) -> AnyEditor:
        model = self._engine.loaded.model
        return self._kept([found, radii], lambda: Grace(model, found, radii, self._splitting))

    def _entity(self, found: EntityHyperparameters, space: RelationSpace | None) -> AnyEditor:
        loaded = self._engine.loaded
        return self._kept(
            [found, None if space is None else space.digest],
            lambda: Entity(loaded.model, loaded.tokenizer, found, space, self._splitting),
        )

    def _locate(
        self,
        name: str,
        found: LocateHyperparameters,
        statistics: Mapping[int, KeyStatistics],
        templates: Templates,
        arithmetic: Arithmetic,
    ) -> AnyEditor:
        model = self._engine.loaded.model
        digests = [s.digest for s in statistics.values()]
        return self._kept(
            [name, found, digests, templates, arithmetic],
            lambda: LocateEditor(
                model, METHODS[name], found, statistics, templates, self._splitting, arithmetic
            ),
        )

    def _kept(self, made_of: Sequence[object], build: Callable[[], AnyEditor]) -> AnyEditor:
        """The editor that was built of the same before, or a new one."""
        key = repr(made_of)
        with self._lock:
            known = self._built.get(key)
        built = known or self._new(build)
        with self._lock:
            # Another thread may have built the same meanwhile: all use one, and what it keeps.
            editor = self._built.setdefault(key, built)
            self._built.move_to_end(key)
            while len(self._built) > CACHED:
                self._built.popitem(last=False)
        return editor

    def _new(self, build: Callable[[], AnyEditor]) -> AnyEditor:
        """Waits for passes that go on."""
        with self._engine.still():
            return build()


def _arithmetic_of(batch: Batch) -> Arithmetic:
    recorded = batch.hyperparameters.get(ARITHMETIC, Arithmetic.RIDGED)
    try:
        return Arithmetic(recorded)
    except ValueError as error:
        raise ConflictError(
            f"batch {batch.id} was made by arithmetic {recorded!r}, and this server knows those up "
            f"to {max(Arithmetic)}: a newer one can change what came before it"
        ) from error
