"""Asks the model: text, probabilities, and two versions side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.edits import Format
from service.engine.engine import Engine, Generation
from service.engine.loading import NO_TEMPLATE
from service.engine.scoring import Score
from service.errors import FieldError, InvalidRequestError, NotFoundError
from service.operations.overlays import Overlays

NEW_TOKENS = 32  # of a generation that names no number


@dataclass(frozen=True)
class AskLimits:
    prompt_tokens: int
    target_tokens: int
    new_tokens: int  # of one generation


class Ask:
    def __init__(self, engine: Engine, overlays: Overlays, limits: AskLimits) -> None:
        self._engine = engine
        self._overlays = overlays
        self._limits = limits

    def generate(
        self,
        prompt: str,
        max_new_tokens: int | None,
        version: int | None,
        form: Format = Format.PLAIN,
    ) -> tuple[int, Generation]:
        """Returns the version that answered and its greedy continuation."""
        self._check_prompt(prompt, form)
        most = self._limits.new_tokens
        if max_new_tokens is None:
            max_new_tokens = min(NEW_TOKENS, most)
        if max_new_tokens > most:
            reason = f"is {max_new_tokens}, at most {most} are generated"
            raise InvalidRequestError([FieldError("max_new_tokens", reason)])
        pinned = self._overlays.at(version)
        return pinned.version, self._engine.generate(pinned.overlay, prompt, max_new_tokens, form)

    def compare(
        self,
        prompt: str,
        max_new_tokens: int | None,
        left: int,
        right: int | None,
        form: Format = Format.PLAIN,
    ) -> list[tuple[int, Generation]]:
        """The answers of two versions."""
        answers = []
        for field, version in (("left", left), ("right", right)):
            try:
                answers.append(self.generate(prompt, max_new_tokens, version, form))
            except NotFoundError as error:
                raise NotFoundError(error.kind, error.number, field) from None
        return answers

    def score(
        self,
        prompt: str,
        targets: Sequence[str],
        version: int | None,
        form: Format = Format.PLAIN,
    ) -> tuple[int, list[Score]]:
        """Returns the version that answered and the score of each target, in order."""
        self._check_prompt(prompt, form)
        continuations = [self._engine.continuation(prompt, target, form) for target in targets]
        errors = []
        for i, continuation in enumerate(continuations):
            length = len(continuation.target)
            whole = length + len(continuation.prompt)
            if length > self._limits.target_tokens:
                most = self._limits.target_tokens
                errors.append(FieldError(f"targets[{i}]", f"has {length} tokens, at most {most}"))
            elif whole > self._engine.loaded.max_tokens:
                most = self._engine.loaded.max_tokens
                errors.append(
                    FieldError(f"targets[{i}]", f"ends at token {whole}; the model has {most}")
                )
        if errors:
            raise InvalidRequestError(errors)
        pinned = self._overlays.at(version)
        return pinned.version, self._engine.score(pinned.overlay, continuations)

    def _check_prompt(self, prompt: str, form: Format) -> None:
        if form is Format.CHAT and not self._engine.loaded.chats:
            raise InvalidRequestError([FieldError("format", NO_TEMPLATE)])
        length = len(self._engine.prompt_tokens(prompt, form))
        # One position is left for the first new token.
        most = min(self._limits.prompt_tokens, self._engine.loaded.max_tokens - 1)
        if length > most:
            reason = f"has {length} tokens, at most {most} are taken"
            raise InvalidRequestError([FieldError("prompt", reason)])
