"""The types of OpenAI's parameters, with their bounds."""

import json
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictStr,
    Tag,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from service.api.fields import Text, WholeNumber
from service.domain.bounds import MAX_CHARACTERS, check_characters

MAX_PROMPTS = 64
MAX_MESSAGES = 1_024


class Only:
    """For what OpenAI knows and Errata does not do: these values ask for nothing, and null too."""

    def __init__(self, *harmless: object) -> None:
        self._values = (None, *harmless)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "enum": list(self._values)}

    def _check(self, value: object) -> object:
        # True equals 1, and yet is none.
        if not any(
            value == one and isinstance(value, bool) == isinstance(one, bool)
            for one in self._values
        ):
            values = " or ".join(json.dumps(one) for one in self._values)
            raise ValueError(f"is not supported; it may be {values}")
        return value


def _prompts(one_or_more: object) -> object:
    """A list of prompts: a list of token ids is one."""
    if isinstance(one_or_more, list) and not any(isinstance(one, int) for one in one_or_more[:1]):
        return one_or_more
    return [one_or_more]


def _kind(prompt: object) -> str:
    return "tokens" if isinstance(prompt, list) else "text"


TokenIds = Annotated[
    list[Annotated[WholeNumber, Field(ge=0)]],
    Field(min_length=1, max_length=MAX_CHARACTERS, fail_fast=True),
]
Prompt = Annotated[
    Annotated[Text, Tag("text")] | Annotated[TokenIds, Tag("tokens")], Discriminator(_kind)
]
# The bounds of the list stand inside, since one prompt is no list.
Prompts = Annotated[list[Prompt], Field(min_length=1, max_length=MAX_PROMPTS)]
PromptList = Annotated[
    Prompts,
    BeforeValidator(_prompts, json_schema_input_type=Text | TokenIds | Prompts),
    Field(description="one, or several to be continued"),
]
Content = Annotated[
    StrictStr,
    Field(max_length=MAX_CHARACTERS, json_schema_extra={"pattern": r"^[^\u0000]*$"}),
    AfterValidator(check_characters),
]

# Taken and not looked at: they change nothing of a text.
Unused = Annotated[Any, Field(description="changes nothing here")]
Penalty = Annotated[Any, Only(0), Field(description="not supported, but for 0")]
Nothing = Annotated[Any, Only(), Field(description="not supported, but for null")]
Off = Annotated[Any, Only(False), Field(description="not supported, but for false")]
NoList = Annotated[Any, Only([]), Field(description="not supported, but for an empty list")]
