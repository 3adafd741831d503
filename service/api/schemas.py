"""The shapes on the wire. Clients rely on them: fields are added, never taken away."""

import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictStr,
    ValidationInfo,
    field_validator,
)

from service.api.dependencies import LARGEST_ID
from service.domain.batches import Batch
from service.domain.edits import Correction, Edit
from service.domain.states import BatchState, EditState
from service.domain.versions import Version, VersionKind
from service.engine.engine import Generation
from service.engine.generation import FinishReason
from service.engine.scoring import Score
from service.operations.ask import NEW_TOKENS

# Far above any prompt of `max_prompt_tokens`; keeps the tokenizer from chewing on a whole body.
MAX_CHARACTERS = 65_536
MAX_PARAPHRASES = 32
MAX_NEIGHBORHOOD = 64
MAX_METADATA_BYTES = 16_384
MAX_METADATA_DEPTH = 32
MAX_TARGETS = 64


def _check_text(text: str) -> str:
    if not text.strip():
        raise ValueError("must hold more than white space")
    if "\0" in text:
        raise ValueError("must not hold NUL characters")
    return text


def _check_metadata(metadata: object) -> object:
    if _is_deeper(metadata, MAX_METADATA_DEPTH):
        raise ValueError(f"is nested more than {MAX_METADATA_DEPTH} levels deep")
    try:
        text = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("must not hold lone surrogates") from None
    except ValueError:
        raise ValueError("must hold no NaN and no infinity") from None
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"has {size} bytes as JSON, at most {MAX_METADATA_BYTES} are taken")
    # Without its escaped backslashes, so that a text which only spells the escape passes.
    if r"\u0000" in text.replace(r"\\", ""):
        raise ValueError("must not hold NUL characters")
    return metadata


def _is_deeper(value: object, levels: int) -> bool:
    """Whether lists and objects are nested in each other more than `levels` deep."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)


Text = Annotated[StrictStr, Field(max_length=MAX_CHARACTERS), AfterValidator(_check_text)]
Metadata = Annotated[dict[str, Any], BeforeValidator(_check_metadata)]
WholeNumber = Annotated[int, Field(strict=True)]
NEW_TOKENS_DEFAULT = f"default: {NEW_TOKENS}, or the server's bound if that is lower"
NewTokens = Annotated[WholeNumber | None, Field(ge=1, description=NEW_TOKENS_DEFAULT)]
VersionField = Annotated[WholeNumber, Field(ge=0, le=LARGEST_ID)]
Reason = Annotated[StrictStr, Field(max_length=1_000), AfterValidator(_check_text)]


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
    subject: Text | None = Field(None, description="a span of the prompt")
    target_true: Text | None = Field(None, description="what the model said before")
    paraphrases: list[Text] = Field([], max_length=MAX_PARAPHRASES)
    neighborhood: list[Text] = Field([], max_length=MAX_NEIGHBORHOOD)
    metadata: Metadata = {}
    editor: StrictStr | None = Field(None, description="default: the server's")
    priority: WholeNumber = Field(0, ge=-100, le=100, description="higher goes first")

    @field_validator("subject")
    @classmethod
    def _in_the_prompt(cls, subject: str | None, info: ValidationInfo) -> str | None:
        # A prompt that is wrong itself is not among the data.
        if subject is not None and subject not in info.data.get("prompt", subject):
            raise ValueError("is not a span of the prompt")
        return subject

    def correction(self, default_editor: str) -> Correction:
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
        )


class EditsIn(Wire):
    """Many corrections: all are taken or none."""

    edits: list[EditIn] = Field(min_length=1)


class QueuedEdit(BaseModel):
    id: int
    status: EditState


class EditsAccepted(BaseModel):
    edits: list[QueuedEdit]


class EditOut(BaseModel):
    id: int
    status: EditState
    editor: str
    prompt: str
    subject: str | None
    target_new: str
    target_true: str | None
    paraphrases: list[str]
    neighborhood: list[str]
    metadata: dict[str, Any]
    priority: int
    batch_id: int | None
    version: int | None = Field(description="the version that first held it")
    error: str | None
    note: str | None
    probability_before: float | None = Field(description="of target_new, before its batch")
    probability_after: float | None
    verified: bool | None = Field(description="greedy decoding reaches target_new")
    submitted_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, edit: Edit) -> "EditOut":
        correction = edit.correction
        return cls(
            id=edit.id,
            status=edit.status,
            editor=correction.editor,
            prompt=correction.prompt,
            subject=correction.subject,
            target_new=correction.target_new,
            target_true=correction.target_true,
            paraphrases=list(correction.paraphrases),
            neighborhood=list(correction.neighborhood),
            metadata=correction.metadata,
            priority=correction.priority,
            batch_id=edit.batch_id,
            version=edit.version,
            error=edit.error,
            note=edit.note,
            probability_before=edit.probability_before,
            probability_after=edit.probability_after,
            verified=edit.verified,
            submitted_by=edit.submitted_by,
            created_at=edit.created_at,
            updated_at=edit.updated_at,
        )


class EditPage(BaseModel):
    edits: list[EditOut]
    next: int | None = Field(description="`after` of the next page; null on the last")


class MetricsOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    edits: int
    already_true: int
    efficacy: float | None
    paraphrase: float | None
    neighborhood: float | None
    entries: int
    entries_added: int
    entries_changed: int


class TimingsOut(BaseModel):
    """Seconds by phase."""

    model_config = ConfigDict(from_attributes=True)

    targets_s: float
    insert_s: float
    verify_s: float


class BatchOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    editor: str
    status: BatchState
    version: int
    edit_ids: list[int]
    hyperparameters: dict[str, Any]
    metrics: MetricsOut
    timings: TimingsOut
    artifact: str
    created_at: datetime

    @classmethod
    def of(cls, batch: Batch) -> "BatchOut":
        return cls.model_validate(batch)


class BatchPage(BaseModel):
    batches: list[BatchOut]
    next: int | None


class VersionOut(BaseModel):
    version: int
    kind: VersionKind
    batch_id: int | None = Field(description="if it is about a single batch")
    batch_ids: list[int] = Field(description="the batches that it added or took out")
    actor: str
    reason: str | None
    checksum: str
    artifact: str | None
    created_at: datetime

    @classmethod
    def of(cls, version: Version) -> "VersionOut":
        return cls(
            version=version.version,
            kind=version.kind,
            batch_id=version.batch_ids[0] if len(version.batch_ids) == 1 else None,
            batch_ids=list(version.batch_ids),
            actor=version.actor,
            reason=version.reason,
            checksum=version.checksum,
            artifact=version.artifact,
            created_at=version.created_at,
        )


class VersionPage(BaseModel):
    versions: list[VersionOut]
    next: int | None


class GenerateIn(Wire):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "The currency of Bulgaria is the"}]}
    )

    prompt: Text
    max_new_tokens: NewTokens = None
    version: VersionField | None = None


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class GenerateOut(BaseModel):
    text: str
    version: int
    finish_reason: FinishReason
    usage: Usage

    @classmethod
    def of(cls, version: int, generation: Generation) -> "GenerateOut":
        prompt, completion = generation.prompt_tokens, generation.completion_tokens
        return cls(
            text=generation.text,
            version=version,
            finish_reason=generation.finish_reason,
            usage=Usage(
                prompt_tokens=prompt,
                completion_tokens=completion,
                total_tokens=prompt + completion,
            ),
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


class TargetScore(BaseModel):
    target: str
    logprob: float = Field(description="natural logarithm, summed over the target's tokens")
    tokens: int
    greedy: bool = Field(description="each token is the model's first choice")

    @classmethod
    def of(cls, target: str, score: Score) -> "TargetScore":
        return cls(target=target, logprob=score.logprob, tokens=score.tokens, greedy=score.greedy)


class ScoreOut(BaseModel):
    version: int
    scores: list[TargetScore]


class CompareIn(Wire):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "The currency of Bulgaria is the"}]}
    )

    prompt: Text
    left: VersionField = 0
    right: VersionField | None = Field(None, description="default: the current version")
    max_new_tokens: NewTokens = None


class CompareOut(BaseModel):
    left: GenerateOut
    right: GenerateOut
    same: bool


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


class ReadyOut(BaseModel):
    ready: bool
    reasons: list[str] = Field(description="why not, if not")


class HealthOut(BaseModel):
    status: str


class AboutOut(BaseModel):
    errata: str = Field(description="this server's version")
    model: str
    fingerprint: str = Field(description="sha256 of the model's configuration, weights and dtype")
    editor: str
    version: int = Field(description="the log's current version")
