"""EasyEdit's flat names, and KnowEdit's, which are the same and hold lists of questions beside:
wiki_recent, wiki_counterfact and ZsRE; WikiBio names its fields otherwise.

https://github.com/zjunlp/EasyEdit, examples/KnowEdit.md.
"""

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from service.evaluation.datasets.fields import (
    Answers,
    Locality,
    Questions,
    Shape,
    Target,
    Text,
    Texts,
    neighbors,
    paired,
)
from service.evaluation.datasets.record import Record


class EasyEdit(Shape):
    prompt: Text
    target_new: Target
    subject: Text | None = None
    ground_truth: Answers = ()
    rephrase_prompt: Texts = ()
    rephrase: Texts = ()
    locality_prompt: Texts = ()
    locality_ground_truth: Questions = Field((), validate_default=True)
    locality: Locality = Field({})

    @field_validator("locality_ground_truth", mode="before")
    @classmethod
    def _to_the_prompts(cls, answers: object, info: ValidationInfo) -> Any:
        prompts = info.data.get("locality_prompt", ())
        return paired(prompts[0] if len(prompts) == 1 else list(prompts), answers or None)

    def records(self) -> list[Record]:
        asked = {"": self.locality_ground_truth, **self.locality}
        return [
            Record(
                self.prompt,
                self.target_new,
                self.subject,
                self.ground_truth,
                (*self.rephrase_prompt, *self.rephrase),
                neighbors(asked),
                beyond=self.beyond,
            )
        ]


class WikiBio(Shape):
    """A passage that is to go on otherwise."""

    text: Text
    labels: Target
    concept: Text | None = None
    locality: Locality = Field({})

    def records(self) -> list[Record]:
        return [
            Record(
                self.text,
                self.labels,
                self.concept,
                neighborhood=neighbors(self.locality),
                beyond=self.beyond,
            )
        ]
