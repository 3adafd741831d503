"""The editor `entity`: an edit answers where a text names its subject and asks the same of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from service.domain.edits import Correction
from service.domain.mentions import asked_about
from service.domain.subject_index import SubjectIndex, as_whole, normal
from service.editing.entity.asking import Asking, Junction
from service.editing.entity.book import EntityBook, Label
from service.editing.entity.change import EntityChange
from service.editing.entity.head_values import head_values
from service.editing.entity.insertion import Target, insert
from service.editing.entity.relation_space import RelationSpace, distances
from service.editing.entity.states import Asked, features_of, head_inputs
from service.editing.growth import metrics_of
from service.editing.requests import EditRequest, Phrasing, edit_request, templated
from service.editing.splitting import Splitting
from service.errors import EditingError


@dataclass(frozen=True)
class EntityHyperparameters:
    # The relation space's: last tokens' states enter this layer, those of sentences the other.
    layer: Annotated[int, Field(ge=0)]
    sentence_layer: Annotated[int, Field(ge=0)]
    # How far another wording of a question may lie; None: as the relation space was measured.
    radius: Annotated[float, Field(gt=0, le=2)] | None = None
    # Questions within this distance are one.
    noise: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 1e-3
    steps: Annotated[int, Field(ge=1, le=1_000)] = 100
    # A share of the mean size of what the head is given.
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    # Nats per token under which a value is done; 0: never.
    stop_loss: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01


@dataclass(frozen=True)
class _Question:
    """One given phrasing of an edit, or one of its neighbours."""

    asked: Asked
    subjects: frozenset[str]  # that it may be about, of this edit's


class Entity:
    name = "entity"
    exact = True

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        hyperparameters: EntityHyperparameters,
        space: RelationSpace | None,
        splitting: Splitting | None = None,
    ) -> None:
        """`space`: None for one that only replays, since targets bring theirs."""
        self._model = model
        self._asking = Asking(tokenizer)
        self._space = space
        self._splitting = splitting or Splitting()
        self.hyperparameters = hyperparameters

    def recorded(self) -> dict[str, Any]:
        """The hyperparameters as they are written to the log."""
        return asdict(self.hyperparameters)

    def request(
        self,
        tokenizer: PreTrainedTokenizerBase,
        edit_id: int,
        correction: Correction,
        phrasings: Sequence[Phrasing],
    ) -> EditRequest:
        with templated(edit_id):
            return edit_request(
                tokenizer, edit_id, correction, phrasings, subject=correction.subject
            )

    def insert(self, book: EntityBook | None, targets: Sequence[Target]) -> EntityBook | None:
        """The closed-form part: no gradient step."""
        if book is None and not targets:
            return None
        return insert(book or EntityBook.empty(), targets, self.hyperparameters.noise)

    def targets(
        self, book: EntityBook | None, requests: Sequence[EditRequest]
    ) -> tuple[list[Target], list[EditingError]]:
        """Finds the values and keys of every request. Returns the targets, in order, and the edits
        that have none.
        """
        if not requests:
            return [], []
        space = self._space if book is None or book.space is None else book.space
        if space is None:
            raise ValueError("an editor without a relation space only replays")
        # Of each edit, its phrasings and then its neighbours.
        questions = [
            self._question(request.subject, prompt, is_own=is_own)
            for request in requests
            for prompt, is_own in (
                *((phrasing.prompt, True) for phrasing in request.given),
                *((neighbor.prompt, False) for neighbor in request.neighborhood),
            )
        ]
        features = features_of(
            self._model,
            space.layer,
            space.sentence_layer,
            [question.asked for question in questions],
            self._splitting,
        )
        counts = [len(request.given) + len(request.neighborhood) for request in requests]
        keys_of = space.keys(*features).split(counts)
        rest = iter(questions)
        answers_of = [_answers(self._asking, request) for request in requests]
        values = iter(self._values(answers_of))
        targets, errors = [], []
        for request, answers, found in zip(requests, answers_of, keys_of, strict=True):
            given = list(islice(rest, len(request.given)))
            beside = list(islice(rest, len(request.neighborhood)))
            keys, others = found[: len(given)], found[len(given) :]
            target = Target(
                edit_id=request.edit_id,
                space=space,
                subjects=tuple(next(iter(question.subjects)) for question in given),
                keys=keys,
                radii=tuple(
                    self._radius(space, question, key, beside, others)
                    for question, key in zip(given, keys, strict=True)
                ),
                answer_of=tuple(
                    list(answers).index((self._asking.junction(p.prompt), p.learned))
                    for p in request.given
                ),
                junctions=tuple(junction for junction, _ in answers),
                labels=tuple(label for _, label in answers),
                values=torch.cat([next(values) for _ in answers]),
            )
            fault = self._fault(target, request.given)
            if fault is None:
                targets.append(target)
            else:
                errors.append(EditingError(request.edit_id, fault))
        return targets, errors

    def change(
        self, parent: EntityBook | None, state: EntityBook | None, targets: Sequence[Target]
    ) -> EntityChange:
        """What made `state` out of `parent`."""
        grown = state or EntityBook.empty()
        space = grown.space or self._space
        if space is None:
            raise ValueError("a change is made by an editor with a relation space, or of entries")
        rows = grown.difference(parent or EntityBook.empty())
        return EntityChange(space, tuple(targets), rows)

    def metrics(
        self,
        parent: EntityBook | None,
        state: EntityBook | None,
        targets: Sequence[Target],  # noqa: ARG002  # of every editor's signature
    ) -> dict[str, Any]:
        """How the book grew."""
        old, new = parent or EntityBook.empty(), state or EntityBook.empty()
        return metrics_of(len(old), len(new), new.difference(old).index)

    def _question(self, subject: str | None, tokens: tuple[int, ...], *, is_own: bool) -> _Question:
        """`is_own`: a phrasing; one that does not ask about the subject is met word for word."""
        asked = Asked.of(self._asking, tokens)
        message = self._asking.message_text(tokens, asked.place)
        named: frozenset[str] = frozenset()
        if subject is not None:
            index = SubjectIndex().with_subjects([normal(subject)])
            named = asked_about(index, frozenset(), message)
        if is_own and not named:
            named = frozenset([as_whole(message)])
        return _Question(asked, named)

    def _radius(
        self,
        space: RelationSpace,
        question: _Question,
        key: Tensor,
        beside: Sequence[_Question],
        others: Tensor,
    ) -> float:
        """The space's, unless one of the edit's neighbours that names the subject lies within."""
        rows = [i for i, other in enumerate(beside) if other.subjects & question.subjects]
        radius = self.hyperparameters.radius or space.asked_radius
        if not rows:
            return radius
        own, other = (space.half(side, decoded=False) for side in (key, others[rows]))
        return min(radius, float(distances(own, other).min()) - self.hyperparameters.noise)

    def _fault(self, target: Target, given: Sequence[Phrasing]) -> str | None:
        if not target.is_finite():
            return "its values or keys are not finite"
        least = self.hyperparameters.noise
        for phrasing, radius in zip(given, target.radii, strict=True):
            if radius < least:
                what = "its prompt" if phrasing.number == 0 else phrasing.field
                return (
                    f"a neighborhood prompt asks the same as {what}: they are {radius + least:.4f} "
                    f"apart, and {2 * least:.4f} is the least that can be told apart"
                )
        return None

    def _values(self, answers_of: Sequence["Answers"]) -> list[Tensor]:
        """[tokens, d] of each answer of each request, in order."""
        texts = [
            (phrasing.prompt, phrasing.learned)
            for answers in answers_of
            for phrasing in answers.values()
        ]
        tokens = [token for _, label in texts for token in label]
        found = head_values(
            self._model,
            head_inputs(self._model, texts, self._splitting),
            tokens,
            learning_rate=self.hyperparameters.learning_rate,
            steps=self.hyperparameters.steps,
            stop_loss=self.hyperparameters.stop_loss,
        )
        return list(found.split([len(label) for _, label in texts]))


# What is to be said at which junction, and the first phrasing that says so.
Answers = Mapping[tuple[Junction, Label], Phrasing]


def _answers(asking: Asking, request: EditRequest) -> Answers:
    found: dict[tuple[Junction, Label], Phrasing] = {}
    for phrasing in request.phrasings:
        found.setdefault((asking.junction(phrasing.prompt), phrasing.learned), phrasing)
    return found
