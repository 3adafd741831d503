"""What comes in by the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationInfo, field_validator

from service.api.fields import (
    FORMAT,
    STREAM,
    Count,
    Explain,
    Hyperparameters,
    Logprobs,
    Metadata,
    NewTokens,
    Reason,
    RepetitionPenalty,
    Seed,
    StopList,
    Temperature,
    Text,
    TopK,
    TopP,
    VersionField,
    WholeNumber,
)
from service.domain.bounds import MAX_NEIGHBORHOOD, MAX_PARAPHRASES, MAX_TARGETS
from service.domain.edits import Correction, EditFormat, Format
from service.domain.subjects import places_of, warnings_of
from service.engine.sampling import Sampling, any_seed
from service.operations.ask import Manner
from service.settings import EditorName


class Wire(BaseModel):
    """A request body: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class EditIn(Wire):
    """One correction: after `prompt`, the model should say `target_new`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prompt": "The currency of Bulgaria is the", "target_new": "euro"}]
        }
    )

    prompt: Text
    target_new: Text
    subject: Text | None = Field(
        None,
        description="a span of the prompt, taken wherever it stands as a whole word; all editors "
        "but `grace` and `entity` need it, and `entity` finds one where it is not given",
    )
    target_true: Text | None = Field(None, description="what the model said before")
    paraphrases: list[Text] = Field(
        [], max_length=MAX_PARAPHRASES, description="other ways to ask, taught with the prompt"
    )
    neighborhood: list[Text] = Field(
        [],
        max_length=MAX_NEIGHBORHOOD,
        description="prompts whose answers must not change: it is measured, and told where they do",
    )
    metadata: Metadata = {}
    editor: EditorName | None = Field(None, description="default: the server's")
    priority: WholeNumber = Field(0, ge=-100, le=100, description="higher goes first")
    format: EditFormat | None = Field(
        None,
        description="how its prompts reach the model: as they are, as a user's message in its chat "
        "template, or both; default: both where the model has a template",
    )
    hyperparameters: Hyperparameters = Field(
        {}, description="of the editor, in place of the server's"
    )
    joint: Literal["", " "] | None = Field(
        None,
        description="what goes between prompt and target; default: what writing asks for there",
    )
    continues: StrictBool = Field(
        False,
        alias="continue",
        description="a chat's answer may go on after the target, and does not end there",
    )

    strict: StrictBool = Field(
        False,
        description="it fails, and leaves no trace, where it misses a phrasing or the answer to a "
        "neighborhood prompt changes",
    )

    @field_validator("subject")
    @classmethod
    def _in_the_prompt(cls, subject: str | None, info: ValidationInfo) -> str | None:
        prompt = info.data.get("prompt")  # None for one that is wrong itself
        if subject is not None and prompt is not None and not places_of(subject, prompt).taken:
            raise ValueError("is not a span of the prompt")
        return subject

    def correction(self, default_editor: str, default_format: EditFormat) -> Correction:
        return Correction(
            prompt=self.prompt,
            target_new=self.target_new,
            editor=self.editor or default_editor,
            subject=self.subject,
            target_true=self.target_true,
            paraphrases=tuple(self.paraphrases),
            neighborhood=tuple(self.neighborhood),
            metadata=dict(self.metadata),
            priority=self.priority,
            format=self.format or default_format,
            hyperparameters=dict(self.hyperparameters),
            warnings=() if self.subject is None else warnings_of(self.subject, self.prompt),
            joint=self.joint,
            continues=self.continues,
            strict=self.strict,
        )


class EditsIn(Wire):
    """Many corrections: all are taken or none."""

    edits: list[EditIn] = Field(min_length=1)


class GenerateIn(Wire):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "The currency of Bulgaria is the"}]}
    )

    prompt: Text
    max_new_tokens: NewTokens = None
    version: VersionField | None = None
    format: Format = Field(Format.PLAIN, description=FORMAT)
    temperature: Temperature = 0.0
    top_p: TopP = 1.0
    top_k: TopK = 0
    repetition_penalty: RepetitionPenalty = 1.0
    seed: Seed | None = None
    stop: StopList = []
    logprobs: Logprobs | None = None
    n: Count = 1
    stream: StrictBool = Field(False, description=STREAM)
    explain: Explain = False

    def manner(self) -> Manner:
        return Manner(
            max_new_tokens=self.max_new_tokens,
            sampling=Sampling(
                temperature=self.temperature,
                top_p=self.top_p,
                top_k=self.top_k,
                repetition_penalty=self.repetition_penalty,
                seed=any_seed() if self.seed is None else self.seed,
                logprobs=self.logprobs,
            ),
            stops=tuple(self.stop),
            count=self.n,
            explain=self.explain,
        )


class ScoreIn(Wire):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prompt": "The currency of Bulgaria is the", "targets": ["euro", "lev"]}]
        }
    )

    prompt: Text
    targets: list[Text] = Field(min_length=1, max_length=MAX_TARGETS)
    version: VersionField | None = None
    format: Format = Field(Format.PLAIN, description=FORMAT)
    explain: Explain = False


class CompareIn(Wire):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "The currency of Bulgaria is the"}]}
    )

    prompt: Text
    left: VersionField = 0
    right: VersionField | None = Field(None, description="default: the current version")
    max_new_tokens: NewTokens = None
    format: Format = Field(Format.PLAIN, description=FORMAT)


class ChangeIn(Wire):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the source was wrong"}]})

    reason: Reason
    expected_version: VersionField | None = Field(
        None, description="409 if the log is at another version"
    )


class RollbackToIn(ChangeIn):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"version": 0, "reason": "start afresh"}]}
    )

    version: VersionField
