"""The body of POST /edits, and atlas's set, which adds the neighbours' answers to it."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from service.domain.bounds import MAX_NEIGHBORHOOD, MAX_PARAPHRASES, check_metadata
from service.evaluation.datasets.fields import Answers, Part, Shape, Target, Text
from service.evaluation.datasets.record import Neighbor, Record

IDS = ("case_id", "relation", "id")  # of a set's records; POST /edits has no such fields


class Near(Part):
    prompt: Text
    answer: Answers = ()


def _near(value: object) -> object:
    return {"prompt": value} if isinstance(value, str) else value


class Own(Shape):
    """Fields that it does not name are handed on to the server, which judges them."""

    prompt: Text
    target_new: Target
    subject: Text | None = None
    target_true: Text | None = None
    paraphrases: list[Text] = Field([], max_length=MAX_PARAPHRASES)
    neighborhood: list[Annotated[Near, BeforeValidator(_near)]] = Field(
        [], max_length=MAX_NEIGHBORHOOD
    )
    metadata: Annotated[dict[str, Any], BeforeValidator(check_metadata)] = Field({})

    def records(self) -> list[Record]:
        extra = self.model_extra or {}
        options = {name: value for name, value in extra.items() if name not in IDS}
        if self.metadata:
            options["metadata"] = self.metadata
        return [
            Record(
                self.prompt,
                self.target_new,
                self.subject,
                () if self.target_true is None else (self.target_true,),
                tuple(self.paraphrases),
                tuple(Neighbor(one.prompt, one.answer) for one in self.neighborhood),
                beyond={name: extra[name] for name in IDS if name in extra},
                options=options,
            )
        ]
