"""The append-only log of versions. A version exists when its row is committed, and not before."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.domain.batches import Batch, BatchMetrics, BatchTimings
from service.domain.effects import Effect
from service.domain.leases import Lease
from service.domain.probes import ProbeChange
from service.domain.report import EditReport
from service.domain.states import BatchState, EditState
from service.domain.versions import Version, VersionKind
from service.errors import NotFoundError, StaleVersionError, StartupError
from service.storage.database import Database, now, parts, racing
from service.storage.leases import fence
from service.storage.queue import Ending, end
from service.storage.rows import (
    SYSTEM,
    WORKER,
    batch_of,
    move,
    probe_changes_of,
    probe_values,
    report_values,
    version_of,
)
from service.storage.supersession import batch_of_edits, link
from service.storage.tables import BatchRow, EditRow, EventRow, SnapshotRow, StoreRow, VersionRow

PAGE = 64  # versions of one read, on the way back


@dataclass(frozen=True)
class EditOutcome:
    """What the worker found out about one edit that it applied."""

    note: str | None
    probability_before: float
    probability_after: float
    verified: bool
    joint: str
    report: EditReport | None = None
    # The latest edit of an earlier batch in whose place it answers, though their prompts differ.
    overrules: int | None = None


@dataclass(frozen=True)
class AppliedBatch:
    """Everything that one transaction writes when a batch is applied."""

    editor: str
    outcomes: Mapping[int, EditOutcome]  # of the edits applied, by id, in the batch's order
    endings: Mapping[int, Ending]  # of the edits that were claimed with them and left out
    hyperparameters: Mapping[str, Any]
    metrics: BatchMetrics
    timings: BatchTimings
    artifact: str
    checksum: str
    changed_probes: Sequence[ProbeChange] | None = None  # None where none were asked


@dataclass(frozen=True)
class NamedByBatch:
    artifact: str
    edit_ids: tuple[int, ...]


class Log:
    def __init__(self, database: Database) -> None:
        self._database = database

    @racing
    def open(
        self, model: str, fingerprint: str, base_checksum: str, chat_template: str | None = None
    ) -> str:
        """Writes version 0 into an empty log; returns the log's identity. Raises `StartupError` if
        it is of another model, or of the same one with another chat template.

        `chat_template`: its sha256, empty for a model that has none, None where it is not known. A
        log from before it was kept takes the first that it is opened with. One without edits in
        chats is held to its template too: its versions answer chats, and while one server of a log
        has a template and another has not, or another one, an edit that is taken by the first may
        be applied by the second, in another place.
        """
        with self._database.write() as session:
            # Locked: of two servers that know another template one comes first.
            store = session.get(StoreRow, 1, with_for_update=True)
            if store is None:
                moment = now()
                store = StoreRow(
                    id=1,
                    model=model,
                    fingerprint=fingerprint,
                    chat_template=chat_template,
                    created_at=moment,
                )
                base = VersionRow(
                    version=0,
                    kind=VersionKind.BASE,
                    batch_ids=[],
                    edit_ids=[],
                    checksum=base_checksum,
                    actor=SYSTEM,
                    created_at=moment,
                )
                session.add_all([store, base])
                return _identity(store, base)
            if store.fingerprint != fingerprint:
                raise StartupError(
                    f"the log was made for model '{store.model}' (fingerprint "
                    f"{store.fingerprint[:12]}), but '{model}' has fingerprint {fingerprint[:12]}: "
                    "serve the model it was made for, or use another ERRATA_DATA_DIR"
                )
            if store.chat_template is None:
                store.chat_template = chat_template
            elif chat_template not in (None, store.chat_template):
                raise StartupError(
                    f"the log was made for model '{store.model}' with "
                    f"{template_named(store.chat_template)}, but '{model}' has "
                    f"{template_named(chat_template)}: a chat would be another text. Put its "
                    "template back (chat_template.jinja, or chat_template in "
                    "tokenizer_config.json), or use another ERRATA_DATA_DIR"
                )
            return _identity(store, session.get_one(VersionRow, 0))

    @property
    def identity(self) -> str | None:
        """What tells it from all other logs, and stays when it is moved; None of one that no server
        has begun.
        """
        with self._database.read() as session:
            store, base = session.get(StoreRow, 1), session.get(VersionRow, 0)
            return None if store is None or base is None else _identity(store, base)

    def versions(self, after: int = -1, limit: int | None = None) -> list[Version]:
        """Versions above `after`, oldest first; all of them without a limit."""
        query = (
            select(VersionRow)
            .where(VersionRow.version > after)
            .order_by(VersionRow.version)
            .limit(limit)
        )
        with self._database.read() as session:
            return [version_of(row) for row in session.scalars(query)]

    def last(self) -> int:
        """The number of the last version."""
        with self._database.read() as session:
            return session.scalar(select(func.max(VersionRow.version))) or 0

    def version(self, number: int) -> Version:
        with self._database.read() as session:
            row = session.get(VersionRow, number)
            if row is None:
                raise NotFoundError("version", number)
            return version_of(row)

    def changed_probes(self, version: int) -> tuple[ProbeChange, ...] | None:
        """The probes that a version answers otherwise than the version before it; None where none
        were asked.
        """
        query = select(VersionRow.changed_probes).where(VersionRow.version == version)
        with self._database.read() as session:
            return probe_changes_of(session.scalar(query))

    def back_from(self, number: int) -> Iterator[Version]:
        """The version, its parent, that one's parent and so on, down to version 0."""
        page: dict[int, Version] = {}
        at: int | None = number
        while at is not None:
            if at not in page:
                page = {v.version: v for v in self.versions(at - PAGE, PAGE)}
            if at not in page:
                raise NotFoundError("version", at)
            yield page[at]
            at = page[at].parent

    def batch(self, batch_id: int) -> Batch:
        with self._database.read() as session:
            row = session.get(BatchRow, batch_id)
            if row is None:
                raise NotFoundError("batch", batch_id)
            return batch_of(row)

    def batches(self, after: int, limit: int) -> list[Batch]:
        query = select(BatchRow).where(BatchRow.id > after).order_by(BatchRow.id).limit(limit)
        with self._database.read() as session:
            return [batch_of(row) for row in session.scalars(query)]

    def first_at_work(self) -> Batch | None:
        """The batch at work with the least id, by the last version; found by an index."""
        query = select(BatchRow).where(BatchRow.status == BatchState.APPLIED)
        with self._database.read() as session:
            row = session.scalar(query.order_by(BatchRow.id).limit(1))
            return None if row is None else batch_of(row)

    def batch_of(self, edit_ids: Collection[int]) -> dict[int, int]:
        """The batch of each of these edits, by the edit's id."""
        with self._database.read() as session:
            return batch_of_edits(session, edit_ids)

    def edits_of(self, batch_ids: Collection[int]) -> dict[int, tuple[int, ...]]:
        """The edits of each of these batches, by the batch's id."""
        query = select(BatchRow.id, BatchRow.edit_ids)
        with self._database.read() as session:
            return {
                batch_id: tuple(edit_ids)
                for part in parts(batch_ids)
                for batch_id, edit_ids in session.execute(query.where(BatchRow.id.in_(part)))
            }

    def named_by_batches(self) -> dict[int, NamedByBatch]:
        """Returns what each batch names, by the batch's id."""
        query = select(BatchRow.id, BatchRow.artifact, BatchRow.edit_ids).order_by(BatchRow.id)
        with self._database.read() as session:
            return {
                batch_id: NamedByBatch(artifact, tuple(edit_ids))
                for batch_id, artifact, edit_ids in session.execute(query)
            }

    def commit_batch(
        self, applied: AppliedBatch, *, built_on: int, lease: Lease
    ) -> tuple[Version, Batch]:
        """Writes the version, the batch and its edits' new states in one transaction.

        Raises `StaleVersionError` when the log has moved past `built_on`, and `LostLeaseError`.
        """
        with self._next(built_on) as (session, number):
            fence(session, lease)
            moment = now()
            # Batch and version name each other: the version row goes in first, its list of
            # batches when the batch has its id.
            version = VersionRow(
                version=number,
                kind=VersionKind.APPLY,
                batch_ids=[],
                edit_ids=[],
                parent=built_on,
                artifact=applied.artifact,
                checksum=applied.checksum,
                actor=WORKER,
                created_at=moment,
                changed_probes=probe_values(applied.changed_probes),
            )
            session.add(version)
            session.flush()
            batch = BatchRow(
                editor=applied.editor,
                status=BatchState.APPLIED,
                version=number,
                edit_ids=list(applied.outcomes),
                hyperparameters=dict(applied.hyperparameters),
                metrics=asdict(applied.metrics),
                timings=asdict(applied.timings),
                artifact=applied.artifact,
                created_at=moment,
            )
            session.add(batch)
            session.flush()
            version.batch_ids = [batch.id]
            rows = session.scalars(select(EditRow).where(EditRow.id.in_(applied.outcomes))).all()
            for row in rows:
                outcome = applied.outcomes[row.id]
                row.batch_id = batch.id
                row.version = number
                row.claimed_by = None
                row.note = outcome.note
                row.probability_before = outcome.probability_before
                row.probability_after = outcome.probability_after
                row.verified = outcome.verified
                row.joint = outcome.joint
                row.report = report_values(outcome.report)
                row.supersedes = outcome.overrules
            link(session, rows)
            move(session, rows, EditState.APPLIED, WORKER, version=number)
            end(session, applied.endings)
            _record(session, number, WORKER, None)
            return version_of(version), batch_of(batch)

    def commit_change(
        self,
        kind: VersionKind,
        *,
        effect: Effect,
        edit_ids: Sequence[int],
        built_on: int,
        parent: int,
        artifact: str | None,
        checksum: str,
        actor: str,
        reason: str,
        changed_probes: Sequence[ProbeChange] | None = None,
    ) -> Version:
        """Writes the version of a rollback or restore, and the new states of the batches and edits
        that it takes out and puts back. `edit_ids` are the edits that the version names one by one.

        Raises `StaleVersionError` when the log has moved past `built_on`.
        """
        with self._next(built_on) as (session, number):
            version = VersionRow(
                version=number,
                kind=kind,
                batch_ids=[*effect.rolled_back.batch_ids, *effect.restored.batch_ids],
                edit_ids=list(edit_ids),
                parent=parent,
                artifact=artifact,
                checksum=checksum,
                actor=actor,
                reason=reason,
                created_at=now(),
                changed_probes=probe_values(changed_probes),
            )
            session.add(version)
            session.flush()
            for members, batch_state, state in (
                (effect.rolled_back, BatchState.ROLLED_BACK, EditState.ROLLED_BACK),
                (effect.restored, BatchState.APPLIED, EditState.APPLIED),
            ):
                for part in parts(members.batch_ids):
                    batches = update(BatchRow).where(BatchRow.id.in_(part))
                    session.execute(batches.values(status=batch_state))
                for part in parts(members.edit_ids):
                    edits = session.scalars(select(EditRow).where(EditRow.id.in_(part)))
                    move(session, edits, state, actor, reason, version=number)
            _record(session, number, actor, reason)
            return version_of(version)

    def snapshots(self, until: int) -> dict[int, str]:
        """Artifacts that hold the whole states of versions up to `until`, by version."""
        query = select(SnapshotRow).where(SnapshotRow.version <= until)
        with self._database.read() as session:
            return {row.version: row.artifact for row in session.scalars(query)}

    def add_snapshot(self, version: int, artifact: str) -> None:
        """In place of those of earlier versions."""
        with self._database.write(quiet=True) as session:
            session.execute(delete(SnapshotRow).where(SnapshotRow.version < version))
            session.merge(SnapshotRow(version=version, artifact=artifact))

    @contextmanager
    def _next(self, built_on: int) -> Iterator[tuple[Session, int]]:
        """A transaction that writes the version after `built_on`, and its number."""
        try:
            with self._database.write() as session:
                current = session.scalar(select(func.max(VersionRow.version)))
                if current != built_on:
                    raise StaleVersionError(built_on, current or 0)
                yield session, built_on + 1
        except IntegrityError:
            if self.last() == built_on:
                raise
            raise StaleVersionError(built_on, self.last()) from None  # another server was faster


def template_named(chat_template: str | None) -> str:
    """A chat template by its sha256, as messages name it."""
    return f"the chat template {chat_template[:12]}" if chat_template else "no chat template"


def _identity(store: StoreRow, base: VersionRow) -> str:
    """Its model's fingerprint, and when it began."""
    return f"{store.fingerprint} {base.created_at.isoformat()}"


def _record(session: Session, version: int, actor: str, reason: str | None) -> None:
    session.execute(
        insert(EventRow).values(version=version, actor=actor, reason=reason, created_at=now())
    )
