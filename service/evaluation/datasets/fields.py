"""The types of records' fields, with what the published files make of them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictStr,
)

from service.domain.bounds import MAX_CHARACTERS, check_characters, check_text
from service.evaluation.datasets.record import Neighbor, Record


class Part(BaseModel):
    """An object within a record; of fields that it does not name nothing is asked."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Shape(BaseModel):
    """A record in one of the forms; fields that it does not name are kept."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    def records(self) -> list[Record]:
        """The edits that it holds, one after another."""
        raise NotImplementedError

    @property
    def beyond(self) -> dict[str, Any]:
        """The fields that it does not name."""
        extra = self.model_extra or {}
        return {name: value for name, value in extra.items() if value is not None}


def _only(value: object) -> object:
    """A list of one is its element."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _listed(value: object) -> tuple[object, ...]:
    """One is a list of one, null is none."""
    return tuple(value) if isinstance(value, list) else () if value is None else (value,)


def _flat(value: object) -> tuple[object, ...]:
    """The answers of a list of lists, in their order: KnowEdit lists a list of names for each."""
    inner = (_flat(one) if isinstance(one, list) else (one,) for one in _listed(value))
    return tuple(itertools.chain.from_iterable(inner))


def _named(value: object) -> tuple[object, ...]:
    """The same, without the empty names that the published tests hold."""
    return tuple(one for one in _flat(value) if not isinstance(one, str) or one.strip())


Text = Annotated[StrictStr, Field(max_length=MAX_CHARACTERS), AfterValidator(check_text)]
# May be empty: such a record is left out, and counted.
Target = Annotated[
    StrictStr,
    Field(max_length=MAX_CHARACTERS),
    AfterValidator(check_characters),
    BeforeValidator(_only),
]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed)]
# Any of them is right.
Answers = Annotated[tuple[Text, ...], BeforeValidator(_flat)]
Names = Annotated[tuple[Text, ...], BeforeValidator(_named)]


class Question(Part):
    """A prompt with its answers, as KnowEdit's locality holds them."""

    prompt: Text
    ground_truth: Names = ()

    def neighbor(self) -> Neighbor:
        return Neighbor(self.prompt, self.ground_truth)


def paired(prompts: object, answers: object) -> list[dict[str, object]]:
    """Questions of one prompt and its answers, or of two lists as long as each other. Raises
    `ValueError` if they are not.
    """
    if not isinstance(prompts, list):
        return [{"prompt": prompts, "ground_truth": answers}]
    if answers is None:
        answers = [None] * len(prompts)
    if not isinstance(answers, list) or len(answers) != len(prompts):
        raise ValueError(f"must be a list of {len(prompts)} answers, as many as there are prompts")
    return [
        {"prompt": prompt, "ground_truth": answer}
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def _questions(value: object) -> tuple[object, ...]:
    """EasyEdit's one object with lists, or KnowEdit's list of objects."""
    found: list[object] = []
    for one in _listed(value):
        if isinstance(one, dict):
            found += paired(one.get("prompt"), one.get("ground_truth"))
        else:
            found.append(one)
    return tuple(found)


def _none_is_empty(value: object) -> object:
    return {} if value is None else value


Questions = Annotated[tuple[Question, ...], BeforeValidator(_questions)]
Locality = Annotated[dict[str, Questions], BeforeValidator(_none_is_empty)]


def neighbors(locality: Mapping[str, Sequence[Question]]) -> tuple[Neighbor, ...]:
    return tuple(one.neighbor() for asked in locality.values() for one in asked)
