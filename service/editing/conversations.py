"""Conversations in which a chat's question may stand: a codebook keeps a key for each of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from service.domain.edits import Correction, Format
from service.editing.requests import Phrasing
from service.editing.tokens import chat_ids

# What stands before the question: a system message, and an earlier turn.
BEFORE = (
    (("system", "You are a helpful assistant."),),
    (("user", "Can you help me?"), ("assistant", "Of course. What would you like to know?")),
)


def in_conversations(
    tokenizer: PreTrainedTokenizerBase,
    correction: Correction,
    phrasings: Sequence[Phrasing],
    most_tokens: int | None,
) -> Iterator[Phrasing]:
    """The given phrasings in chats once more, behind what may come before them in a conversation.
    Left out are those that the model's chat template refuses, those that are longer with their
    targets than `most_tokens`, and those that it makes the same tokens of as of the bare question.
    """
    prompts = (correction.prompt, *correction.paraphrases)
    for phrasing in phrasings:
        if not phrasing.given or phrasing.form is not Format.CHAT:
            continue
        for before in BEFORE:
            messages = [
                {"role": role, "content": content}
                for role, content in (*before, ("user", prompts[phrasing.number]))
            ]
            try:
                tokens = chat_ids(tokenizer, messages)
            except TemplateError:
                continue
            length = len(tokens) + len(phrasing.learned)
            if tokens != phrasing.prompt and (most_tokens is None or length <= most_tokens):
                yield replace(phrasing, prompt=tokens, given=False)
