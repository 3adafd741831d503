"""An edit as editors see it: token ids, no text."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jinja2 import TemplateError
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from service.domain.edits import Correction
from service.editing.tokens import prompt_ids, target_ids
from service.errors import EditingError


@dataclass(frozen=True)
class SubjectText:
    """Token ids of a text, and the index of the token that stands for its subject."""

    tokens: tuple[int, ...]
    subject: int


@dataclass(frozen=True)
class FactRequest:
    """What locate-and-edit goes by."""

    edit_id: int
    plain: SubjectText  # the prompt itself
    contexts: tuple[tuple[SubjectText, ...], ...]  # the prompt in the context templates, by group
    essence: SubjectText  # "{subject} is a": what the subject is shall not drift
    target: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FactTarget:
    """What one edit brings: its texts, to collect keys anew, and its target."""

    request: FactRequest
    state: Tensor  # [d] float32: what the last layer, or its MLP, must return at the subject

    @property
    def edit_id(self) -> int:
        return self.request.edit_id


@dataclass(frozen=True)
class EditRequest:
    """`prompts[0]` is the edit's own prompt, the others its paraphrases; `targets[i]` continues
    `prompts[i]`.
    """

    edit_id: int
    prompts: tuple[tuple[int, ...], ...]
    targets: tuple[tuple[int, ...], ...]
    neighborhood: tuple[tuple[int, ...], ...] = ()  # prompts whose answers must not change
    fact: FactRequest | None = None  # for editors that go by the subject


@contextmanager
def templated(edit_id: int) -> Iterator[None]:
    """A chat template that refuses an edit's texts inside the block is an `EditingError`."""
    try:
        yield
    except TemplateError as error:
        raise EditingError(edit_id, f"the model's chat template refuses it: {error}") from error


def edit_request(
    tokenizer: PreTrainedTokenizerBase,
    edit_id: int,
    correction: Correction,
    fact: FactRequest | None = None,
) -> EditRequest:
    prompts = (correction.prompt, *correction.paraphrases)
    form = correction.format
    target = correction.target_new
    return EditRequest(
        edit_id,
        tuple(prompt_ids(tokenizer, prompt, form) for prompt in prompts),
        tuple(target_ids(tokenizer, prompt, target, form) for prompt in prompts),
        tuple(prompt_ids(tokenizer, prompt, form) for prompt in correction.neighborhood),
        fact,
    )
