"""The log's rows as they are checked and carried: one record a table, whose fields are its columns.

Keys to the API stay in their own database.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import from_json

from service.domain.batches import BatchMetrics, BatchTimings
from service.domain.bounds import check_characters
from service.domain.edits import EditFormat, Format
from service.domain.states import BatchState, EditState
from service.domain.versions import VersionKind
from service.settings import EditorName
from service.storage.rows import metrics_of
from service.storage.tables import (
    BatchRow,
    EditRow,
    EventRow,
    SnapshotRow,
    StoreRow,
    SubmissionRow,
    Table,
    VersionRow,
)


def _json_object(text: str) -> str:
    if not isinstance(from_json(text), dict):  # which bounds how deep it is nested
        raise ValueError("must be a JSON object")
    return text


_METRICS = TypeAdapter(BatchMetrics)
_TIMINGS = TypeAdapter(BatchTimings)


def _metrics(values: dict[str, Any]) -> dict[str, Any]:
    _METRICS.validate_python(values)
    return _known(metrics_of, values)


def _timings(values: dict[str, Any]) -> dict[str, Any]:
    _TIMINGS.validate_python(values)
    return _known(lambda found: BatchTimings(**found), values)


def _known(read: Callable[[dict[str, Any]], object], values: dict[str, Any]) -> dict[str, Any]:
    """What was given, if it has no other names than are read."""
    try:
        read(values)
    except TypeError as error:
        raise ValueError(str(error)) from None
    return values


# Databases count to 2**63: those to come have room.
Id = Annotated[int, Field(ge=1, lt=2**62)]
Number = Annotated[int, Field(ge=0, lt=2**63)]  # of a version
Count = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Text = Annotated[str, AfterValidator(check_characters)]
Key = Annotated[str, StringConstraints(max_length=255), AfterValidator(check_characters)]
Name = Annotated[str, StringConstraints(max_length=64), AfterValidator(check_characters)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Template = Literal[""] | Sha256  # of a model's chat template; empty where it has none
Json = dict[str, Any]
Probability = Annotated[float, Field(allow_inf_nan=False)]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is of a year that no calendar has") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Record(BaseModel):
    # What Python's JSON can't say otherwise, as the perplexity of a model that gave up.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    @property
    def key(self) -> int:
        """Its primary key."""
        raise NotImplementedError


class Numbered(Record):
    id: Id

    @property
    def key(self) -> int:
        return self.id


class Versioned(Record):
    version: Number

    @property
    def key(self) -> int:
        return self.version


class StoreRecord(Numbered):
    id: Literal[1]
    model: Text
    fingerprint: Sha256
    chat_template: Template | None = None  # archives from before it was kept have none
    created_at: Moment


class SubmissionRecord(Numbered):
    actor: Name
    idempotency_key: Key | None
    body_hash: Name
    created_at: Moment


class Part(BaseModel):
    """One part of a row's JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProbeChangeRecord(Part):
    prompt: Text
    format: Format
    expect: Text | None
    before: Text
    after: Text


class VersionRecord(Versioned):
    kind: VersionKind
    batch_ids: list[Id]
    edit_ids: list[Id]
    parent: Number | None
    artifact: Sha256 | None
    checksum: Sha256
    actor: Name
    reason: Text | None
    created_at: Moment
    changed_probes: list[ProbeChangeRecord] | None = None  # archives from before probes lack it


class BatchRecord(Numbered):
    editor: EditorName
    status: BatchState
    version: Number
    edit_ids: list[Id]
    hyperparameters: Json
    metrics: Annotated[Json, AfterValidator(_metrics)]
    timings: Annotated[Json, AfterValidator(_timings)]
    artifact: Sha256
    created_at: Moment


class PhrasingRecord(Part):
    field: Name
    format: Format
    reached: bool
    probability_before: Probability
    probability_after: Probability


class NeighborRecord(Part):
    field: Name
    format: Format
    before: Text
    after: Text
    kept: bool


class ReportRecord(Part):
    phrasings: list[PhrasingRecord]
    neighbors: list[NeighborRecord]


class EditRecord(Numbered):
    submission_id: Id
    submitted_by: Name
    editor: EditorName
    prompt: Text
    subject: Text | None
    target_new: Text
    target_true: Text | None
    paraphrases: list[Text]
    neighborhood: list[Text]
    client_metadata: Json
    priority: Count
    format: EditFormat
    hyperparameters: Annotated[Text, AfterValidator(_json_object)]
    warnings: list[Text]
    joint: Literal["", " "] | None = None  # archives of before lack it, and what follows
    continues: bool = False
    strict: bool = False
    status: EditState
    attempts: Count
    claimed_by: Name | None
    batch_id: Id | None
    version: Number | None
    supersedes: Id | None
    error: Text | None
    note: Text | None
    probability_before: float | None
    probability_after: float | None
    verified: bool | None
    report: ReportRecord | None = None
    created_at: Moment
    updated_at: Moment


class EventRecord(Numbered):
    edit_id: Id | None
    version: Number | None
    from_status: EditState | None
    to_status: EditState | None
    actor: Name
    reason: Text | None
    created_at: Moment


class SnapshotRecord(Versioned):
    artifact: Sha256


# In an order in which each names only rows of those before it.
TABLES: dict[type[Record], type[Table]] = {
    StoreRecord: StoreRow,
    SubmissionRecord: SubmissionRow,
    VersionRecord: VersionRow,
    BatchRecord: BatchRow,
    EditRecord: EditRow,
    EventRecord: EventRow,
    SnapshotRecord: SnapshotRow,
}


def table_name(kind: type[Record]) -> str:
    name: str = TABLES[kind].__tablename__
    return name


def fault_of(error: ValueError) -> str:
    """What is wrong with a row, in one line without its content."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    found = error.errors(include_url=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'the row'}: "
        f"{str(fault['msg']).removeprefix('Value error, ')}"
        for fault in found
    )
