"""An edit as editors see it: token ids, no text."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from service.domain.edits import Edit
from service.editing.tokens import prompt_ids, target_ids


@dataclass(frozen=True)
class EditRequest:
    """`prompts[0]` is the edit's own prompt, the others its paraphrases; `targets[i]` continues
    `prompts[i]`.
    """

    edit_id: int
    prompts: tuple[tuple[int, ...], ...]
    targets: tuple[tuple[int, ...], ...]
    neighborhood: tuple[tuple[int, ...], ...] = ()  # prompts whose answers must not change


def edit_request(tokenizer: PreTrainedTokenizerBase, edit: Edit) -> EditRequest:
    correction = edit.correction
    prompts = (correction.prompt, *correction.paraphrases)
    return EditRequest(
        edit.id,
        tuple(tuple(prompt_ids(tokenizer, prompt)) for prompt in prompts),
        tuple(tuple(target_ids(tokenizer, prompt, correction.target_new)) for prompt in prompts),
        tuple(tuple(prompt_ids(tokenizer, prompt)) for prompt in correction.neighborhood),
    )
