"""Takes corrections into the queue, all of a request or nothing, and out of it again."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.edits import Correction, Edit
from service.engine.engine import Engine
from service.errors import FieldError
from service.operations.wakeups import Wakeups
from service.storage.queue import EditQueue


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
        editor: str,
        limits: EditLimits,
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._wakeups = wakeups
        self._editor = editor
        self._limits = limits

    def check(self, correction: Correction) -> list[FieldError]:
        """What this server cannot take about one correction; fields are named from its root."""
        errors = []
        if correction.editor != self._editor:
            errors.append(
                FieldError("editor", f"this server edits with '{self._editor}' and no other")
            )
        wrong_target = self._check_target("target_new", correction.prompt, correction.target_new)
        errors += wrong_target
        if correction.target_true is not None:
            errors += self._check_target("target_true", correction.prompt, correction.target_true)
        prompts = {"prompt": correction.prompt}
        prompts |= {f"paraphrases[{i}]": text for i, text in enumerate(correction.paraphrases)}
        for field, text in prompts.items():
            # A target that is too long by itself is not held against every prompt as well.
            errors += self._check_prompt(field, text, "" if wrong_target else correction.target_new)
        for i, text in enumerate(correction.neighborhood):
            errors += self._check_prompt(f"neighborhood[{i}]", text, "")
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
        self._wakeups.announce()
        return edits

    def cancel(self, edit_id: int, actor: str) -> Edit:
        """Takes a queued edit back; raises `ConflictError` once it is claimed."""
        edit = self._queue.cancel(edit_id, actor)
        self._wakeups.announce()
        return edit

    def _check_target(self, field: str, prompt: str, target: str) -> list[FieldError]:
        length = len(self._engine.continuation(prompt, target).target)
        most = self._limits.target_tokens
        if length > most:
            return [FieldError(field, f"has {length} tokens, at most {most} are taken")]
        return []

    def _check_prompt(self, field: str, prompt: str, target: str) -> list[FieldError]:
        continuation = self._engine.continuation(prompt, target)
        length = len(continuation.prompt)
        whole = length + len(continuation.target)
        positions = self._engine.loaded.max_tokens
        # One position is left for the first new token.
        most = min(self._limits.prompt_tokens, positions - 1)
        if length > most:
            return [FieldError(field, f"has {length} tokens, at most {most} are taken")]
        if whole > positions:
            reason = f"has {whole} tokens with the target; the model has {positions} positions"
            return [FieldError(field, reason)]
        return []
