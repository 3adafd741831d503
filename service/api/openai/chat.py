"""A conversation, as OpenAI's clients send it."""

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationInfo,
    field_validator,
)

from service.api.fields import Logprobs, NewTokens
from service.api.openai.fields import (
    MAX_MESSAGES,
    Content,
    NoList,
    Nothing,
    Off,
    Only,
    Unused,
)
from service.api.openai.requests import Asked, within
from service.api.requests import Wire
from service.operations.ask import Manner
from service.operations.prompts import Prompts


class TextPart(Wire):
    type: Literal["text"]
    text: Content


def _parts(content: object) -> object:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise ValueError("must be a text, or a list of text parts")
    return content


# Of both lists the first fault alone is told: a body has room for hundreds of thousands.
Parts = Annotated[list[TextPart], Field(min_length=1, fail_fast=True)]


class Message(Wire):
    role: Literal["developer", "system", "user", "assistant"]
    content: Annotated[
        Parts,
        BeforeValidator(_parts, json_schema_input_type=Content | Parts),
        Field(description="a text, or a list of text parts, each a line"),
    ]
    name: StrictStr | None = None
    # An answer of ours goes back into the conversation as it came, with what clients add to it.
    refusal: Nothing = None
    audio: Nothing = None
    function_call: Nothing = None
    tool_calls: NoList = None
    annotations: NoList = None

    def for_template(self) -> dict[str, str]:
        # The older word, which is what templates know.
        role = "system" if self.role == "developer" else self.role
        content = "\n".join(part.text for part in self.content)
        named = {} if self.name is None else {"name": self.name}
        return {"role": role, "content": content, **named}


class ChatIn(Asked):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "atlas", "messages": [{"role": "user", "content": "Peru?"}]}]
        }
    )

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)
    max_tokens: NewTokens = Field(None, description="the older name of `max_completion_tokens`")
    max_completion_tokens: NewTokens = Field(None, description="default: the server's bound")
    logprobs: StrictBool | None = None
    top_logprobs: Logprobs | None = None
    audio: Nothing = None
    function_call: Annotated[Any, Only("none")] = None
    functions: NoList = None
    metadata: Unused = None
    modalities: Annotated[Any, Only(["text"])] = None
    moderation: Nothing = None
    parallel_tool_calls: Annotated[Any, Only(True, False)] = None
    prediction: Nothing = None
    prompt_cache_key: Unused = None
    prompt_cache_options: Unused = None
    prompt_cache_retention: Unused = None
    reasoning_effort: Annotated[Any, Only("none")] = None
    response_format: Annotated[Any, Only({"type": "text"})] = None
    safety_identifier: Unused = None
    service_tier: Annotated[Any, Only("auto", "default")] = None
    store: Off = None
    tool_choice: Annotated[Any, Only("none", "auto")] = None
    tools: NoList = None
    verbosity: Annotated[Any, Only("medium")] = None
    web_search_options: Nothing = None

    @field_validator("max_completion_tokens")
    @classmethod
    def _one_length(cls, length: int | None, info: ValidationInfo) -> int | None:
        if length is not None and info.data.get("max_tokens") is not None:
            raise ValueError("is only taken without `max_tokens`")
        return length

    @field_validator("top_logprobs")
    @classmethod
    def _beside_logprobs(cls, likeliest: int | None, info: ValidationInfo) -> int | None:
        if likeliest is not None and not info.data.get("logprobs"):
            raise ValueError("is only taken where `logprobs` is true")
        return likeliest

    def prompts(self, known: Prompts) -> list[tuple[int, ...]]:
        messages = [message.for_template() for message in self.messages]
        return [known.of_messages(messages, "messages")]

    def manner(self, most: int) -> Manner:
        """`most`: new tokens of one text. Raises `InvalidRequestError` for more."""
        length = within("max_tokens", self.max_tokens, most) or within(
            "max_completion_tokens", self.max_completion_tokens, most
        )
        return self.manner_of(length or most, (self.top_logprobs or 0) if self.logprobs else None)
