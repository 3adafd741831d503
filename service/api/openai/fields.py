"""The types of OpenAI's parameters, with their bounds."""

import json
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StrictStr,
    Tag,
)

from service.api.fields import (
    MAX_CHARACTERS,
    MAX_STOPS,
    StopString,
    Text,
    WholeNumber,
    check_characters,
)

MAX_PROMPTS = 64
MAX_MESSAGES = 1_024


def only(*harmless: object) -> AfterValidator:
    """For what OpenAI knows and Errata does not do: these values ask for nothing, and null too."""
    values = " or ".join(json.dumps(value) for value in (None, *harmless))

    def check(value: object) -> object:
        # True equals 1, and yet is none.
        if value is not None and not any(
            value == one and isinstance(value, bool) == isinstance(one, bool) for one in harmless
        ):
            raise ValueError(f"is not supported; it may be {values}")
        return value

    return AfterValidator(check)


def _listed(one_or_more: object) -> object:
    return [one_or_more] if isinstance(one_or_more, str) else one_or_more


def _prompts(one_or_more: object) -> object:
    """A list of prompts: a list of token ids is one."""
    if isinstance(one_or_more, list) and not any(isinstance(one, int) for one in one_or_more[:1]):
        return one_or_more
    return [one_or_more]


def _kind(prompt: object) -> str:
    return "tokens" if isinstance(prompt, list) else "text"


def _parts(content: object) -> object:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise ValueError("must be a text, or a list of text parts")
    return content


TokenIds = Annotated[
    list[Annotated[WholeNumber, Field(ge=0)]],
    Field(min_length=1, max_length=MAX_CHARACTERS, fail_fast=True),
]
Prompt = Annotated[
    Annotated[Text, Tag("text")] | Annotated[TokenIds, Tag("tokens")], Discriminator(_kind)
]
PromptList = Annotated[
    list[Prompt],
    BeforeValidator(_prompts, json_schema_input_type=str | list[str] | list[int] | list[list[int]]),
    Field(min_length=1, max_length=MAX_PROMPTS, description="one, or several to be continued"),
]
StopList = Annotated[
    list[StopString],
    BeforeValidator(_listed, json_schema_input_type=StopString | list[StopString]),
    Field(max_length=MAX_STOPS, description="the text ends before the first of these"),
]
Content = Annotated[StrictStr, Field(max_length=MAX_CHARACTERS), AfterValidator(check_characters)]
as_parts = BeforeValidator(_parts)

# Taken and not looked at: they change nothing of a text.
Unused = Annotated[Any, Field(description="changes nothing here")]
Penalty = Annotated[Any, only(0), Field(description="not supported, but for 0")]
Nothing = Annotated[Any, only(), Field(description="not supported, but for null")]
Off = Annotated[Any, only(False), Field(description="not supported, but for false")]
NoList = Annotated[Any, only([]), Field(description="not supported, but for an empty list")]
