"""An edit as editors see it: token ids, no text."""

from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from service.domain.edits import Correction
from service.editing.tokens import prompt_ids, target_ids


@dataclass(frozen=True)
class SubjectText:
    """Token ids of a text, and the indices of the tokens that stand for its subject."""

    tokens: tuple[int, ...]
    subject: int  # where the text names it last: this one has seen the others
    earlier: tuple[int, ...] = ()  # where it names it before, ascending

    @property
    def subjects(self) -> tuple[int, ...]:
        """All of them, ascending."""
        return (*self.earlier, self.subject)


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
