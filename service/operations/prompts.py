"""What is asked, as the token ids that the model takes."""

from collections.abc import Mapping, Sequence
from typing import NoReturn

from jinja2 import TemplateError

from service.domain.edits import Format
from service.editing.tokens import chat_ids
from service.engine.engine import Engine
from service.engine.loading import NO_TEMPLATE
from service.errors import FieldError, InvalidRequestError


class Prompts:
    """Every method raises `InvalidRequestError`, which names the field: a text is the `prompt`."""

    def __init__(self, engine: Engine, longest: int) -> None:
        self._engine = engine
        # One position is left for the first new token.
        self._longest = min(longest, engine.loaded.max_tokens - 1)

    def of_text(self, text: str, form: Format = Format.PLAIN) -> tuple[int, ...]:
        if form is Format.CHAT:
            self._check_template("format")
        try:
            tokens = self._engine.prompt_tokens(text, form)
        except TemplateError as error:
            _refuse("prompt", f"the model's chat template refuses it: {error}")
        return self._checked(tokens, "prompt")

    def of_tokens(self, tokens: Sequence[int], field: str) -> tuple[int, ...]:
        vocabulary = self._engine.loaded.vocabulary
        unknown = next((token for token in tokens if not 0 <= token < vocabulary), None)
        if unknown is not None:
            _refuse(field, f"has token {unknown}; the model's are 0 to {vocabulary - 1}")
        return self._checked(tuple(tokens), field)

    def of_messages(self, messages: Sequence[Mapping[str, str]], field: str) -> tuple[int, ...]:
        """A conversation in the model's chat template, up to where the assistant speaks next."""
        self._check_template(field)
        try:
            tokens = chat_ids(self._engine.loaded.tokenizer, messages)
        except TemplateError as error:  # many refuse some roles, or two turns of one role
            _refuse(field, f"the model's chat template refuses them: {error}")
        return self._checked(tokens, field)

    def _check_template(self, field: str) -> None:
        if not self._engine.loaded.chats:
            _refuse(field, NO_TEMPLATE)

    def _checked(self, tokens: tuple[int, ...], field: str) -> tuple[int, ...]:
        if not tokens:
            _refuse(field, "has no tokens")
        if len(tokens) > self._longest:
            _refuse(field, f"has {len(tokens)} tokens, at most {self._longest} are taken")
        return tokens


def _refuse(field: str, reason: str) -> NoReturn:
    raise InvalidRequestError([FieldError(field, reason)])
