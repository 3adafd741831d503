"""The chat template that a tokenizer uses, whichever of its files it is from."""

import hashlib
import json

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from service.editing.tokens import chat_ids

DEFAULT = "default"  # the name of the one that is used where none is asked for


def chat_template_of(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Returns the template that chats go through, also of several; None where there is none.

    transformers reads `chat_template` of `tokenizer_config.json`, a text or a list of named ones,
    and in its place `chat_template.jinja` with those of `additional_chat_templates`.
    `chat_template.json` is of processors, and not read by a tokenizer.
    """
    found = tokenizer.chat_template
    if isinstance(found, dict):
        found = found.get(DEFAULT)
    return found or None


def takes_system_messages(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether there is a template in which a conversation may begin with a system message: some
    refuse it, as Gemma 2's does.
    """
    conversation = [{"role": role, "content": "a"} for role in ("system", "user")]
    try:
        return bool(chat_ids(tokenizer, conversation))
    except TemplateError:
        return False


def digest_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """sha256 of what decides how a conversation becomes text: the template, and the special tokens
    that it names; empty where there is no template. Other named templates decide nothing.
    """
    template = chat_template_of(tokenizer)
    if template is None:
        return ""
    tokens = {
        name: str(token) for name, token in tokenizer.special_tokens_map.items() if name in template
    }
    return hashlib.sha256(json.dumps([template, tokens], sort_keys=True).encode()).hexdigest()
