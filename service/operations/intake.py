"""Takes corrections into the queue, all of a request or nothing, and out of it again."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jinja2 import TemplateError

from service.domain.edits import Correction, Edit, EditFormat, Format, places_of
from service.domain.subject_finding import found_subject
from service.editing.entity.editor import Entity
from service.engine.engine import Engine
from service.engine.loading import NO_TEMPLATE
from service.errors import FieldError, InvalidRequestError
from service.operations.editors import Editors
from service.operations.family import Family
from service.operations.spans import Spans
from service.operations.wakeups import Wakeups
from service.storage.queue import EditQueue

logger = logging.getLogger(__name__)

TAKEN = "no subject is given: '{}' is taken for it"
NO_SUBJECT = "no subject is given, and none is found: the edit answers its phrasings word for word"


@dataclass(frozen=True)
class EditLimits:
    """Bounds of one correction, in tokens of the served model."""

    prompt_tokens: int
    target_tokens: int
    queue_depth: int  # edits that may wait at a time


class Intake:
    def __init__(
        self,
        engine: Engine,
        queue: EditQueue,
        wakeups: Wakeups,
        editors: Editors,
        family: Family,
        limits: EditLimits,
        spans: Spans,
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._wakeups = wakeups
        self._editors = editors
        self._family = family
        self._limits = limits
        self._spans = spans

    @property
    def default_format(self) -> EditFormat:
        """Of corrections that name none."""
        return EditFormat.BOTH if self._engine.loaded.chats else EditFormat.PLAIN

    def check(self, correction: Correction) -> list[FieldError]:
        """What this server cannot take about one correction; fields are named from its root."""
        if Format.CHAT in correction.format.forms and not self._engine.loaded.chats:
            return [FieldError("format", NO_TEMPLATE)]
        try:
            return self._faults(correction)
        except TemplateError as error:
            return [FieldError("format", f"the model's chat template refuses it: {error}")]

    def completed(self, correction: Correction) -> Correction:
        """With the subject that its editor goes by, where it names none and one is found."""
        if correction.editor != Entity.name or correction.subject is not None:
            return correction
        found = found_subject(correction.prompt, correction.paraphrases)
        warning = NO_SUBJECT if found is None else TAKEN.format(found)
        return replace(correction, subject=found, warnings=(*correction.warnings, warning))

    def _faults(self, correction: Correction) -> list[FieldError]:
        try:
            self._family.check(correction)
        except InvalidRequestError as error:
            errors = error.errors
        else:
            errors = self._editors.check(correction)
        wrong_target = self._check_target("target_new", correction, correction.target_new)
        errors += wrong_target
        if correction.target_true is not None:
            errors += self._check_target("target_true", correction, correction.target_true)
        prompts = {"prompt": correction.prompt}
        prompts |= {f"paraphrases[{i}]": text for i, text in enumerate(correction.paraphrases)}
        for field, text in prompts.items():
            # A target that is too long by itself is not held against every prompt as well.
            target = "" if wrong_target else correction.target_new
            errors += self._check_prompt(field, text, target, correction)
        for i, text in enumerate(correction.neighborhood):
            if places_of([text], correction.format) & correction.places:
                errors.append(FieldError(f"neighborhood[{i}]", "is a phrasing of the edit itself"))
            errors += self._check_prompt(f"neighborhood[{i}]", text, "", correction)
        return errors

    def submit(
        self,
        corrections: Sequence[Correction],
        *,
        actor: str,
        idempotency_key: str | None,
        body_hash: str,
    ) -> list[Edit]:
        """Queues corrections that `check` has passed; durable when it returns."""
        edits = self._queue.submit(
            corrections,
            actor=actor,
            idempotency_key=idempotency_key,
            body_hash=body_hash,
            max_depth=self._limits.queue_depth,
        )
        edit_ids = [edit.id for edit in edits]
        self._spans.queued(edit_ids)
        self._wakeups.announce()
        logger.info("edits were queued", extra={"edit_ids": edit_ids})
        return edits

    def cancel(self, edit_id: int, actor: str, owner: str | None = None) -> Edit:
        """Takes a queued edit back; raises `ConflictError` once it is claimed, and `NotFoundError`
        for one of another `owner`.
        """
        edit = self._queue.cancel(edit_id, actor, owner)
        self._wakeups.announce()
        return edit

    def _check_target(self, field: str, asked: Correction, target: str) -> list[FieldError]:
        length = max(
            len(self._engine.continuation(asked.prompt, target, form, asked.joint).target)
            for form in asked.format.forms
        )
        most = self._limits.target_tokens
        if length > most:
            return [FieldError(field, f"has {length} tokens, at most {most} are taken")]
        return []

    def _check_prompt(
        self, field: str, prompt: str, target: str, asked: Correction
    ) -> list[FieldError]:
        # Where the model is still to say what joins the two, it may be a token more.
        joints = ("", " ") if asked.joint is None else (asked.joint,)
        found = [
            self._engine.continuation(prompt, target, form, joint)
            for form in asked.format.forms
            for joint in joints
        ]
        length = max(len(continuation.prompt) for continuation in found)
        whole = max(len(c.prompt) + len(c.target) for c in found)
        positions = self._engine.loaded.max_tokens
        # One position is left for the first new token.
        most = min(self._limits.prompt_tokens, positions - 1)
        if length > most:
            return [FieldError(field, f"has {length} tokens, at most {most} are taken")]
        if whole > positions:
            reason = f"has {whole} tokens with the target; the model has {positions} positions"
            return [FieldError(field, reason)]
        return []
