"""What OpenAI's clients send. Null stands for a parameter's default everywhere."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictStr, ValidationInfo, field_validator

from service.api.fields import (
    STREAM,
    Count,
    Logprobs,
    NewTokens,
    Seed,
    Temperature,
    TopP,
    WholeNumber,
)
from service.api.openai.fields import (
    MAX_MESSAGES,
    Content,
    NoList,
    Nothing,
    Off,
    Penalty,
    PromptList,
    StopList,
    Unused,
    as_parts,
    only,
)
from service.api.requests import Wire
from service.engine.sampling import Sampling, any_seed
from service.errors import FieldError, InvalidRequestError
from service.operations.ask import Manner
from service.operations.prompts import Prompts

COMPLETION_TOKENS = 16  # OpenAI's default; a chat goes on until the model ends it


class StreamOptions(Wire):
    include_usage: StrictBool | None = Field(None, description="in a last frame of its own")
    include_obfuscation: Unused = None


class Asked(Wire):
    """What completions and chats have in common."""

    model: StrictStr = Field(max_length=4_096, description="`atlas`; `atlas@7` for version 7")
    temperature: Temperature | None = None
    top_p: TopP | None = None
    n: Count | None = None
    seed: Seed | None = None
    stop: StopList | None = None
    stream: StrictBool | None = Field(None, description=STREAM)
    stream_options: StreamOptions | None = None
    frequency_penalty: Penalty = None
    presence_penalty: Penalty = None
    logit_bias: Annotated[Any, only({}), Field(description="not supported, but for {}")] = None
    user: Unused = None

    @field_validator("stream_options")
    @classmethod
    def _of_a_stream(cls, options: Any, info: ValidationInfo) -> Any:
        if options is not None and not info.data.get("stream"):
            raise ValueError("is only taken where `stream` is true")
        return options

    @property
    def count(self) -> int:
        return self.n or 1

    @property
    def with_usage(self) -> bool:
        """The stream ends with a frame that says how many tokens it was."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def _manner(self, new_tokens: int, logprobs: int | None) -> Manner:
        return Manner(
            max_new_tokens=new_tokens,
            sampling=Sampling(
                temperature=1.0 if self.temperature is None else self.temperature,
                top_p=1.0 if self.top_p is None else self.top_p,
                seed=any_seed() if self.seed is None else self.seed,
                logprobs=logprobs,
            ),
            stops=tuple(self.stop or ()),
            count=self.count,
        )


class CompletionIn(Asked):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "atlas", "prompt": "The currency of Bulgaria is the"}]
        }
    )

    prompt: PromptList
    max_tokens: NewTokens = Field(None, description=f"default: {COMPLETION_TOKENS}")
    logprobs: Annotated[WholeNumber, Field(ge=0, le=5)] | None = None
    echo: Off = None
    best_of: Annotated[Any, only(1), Field(description="not supported, but for 1")] = None
    suffix: Annotated[Any, only(""), Field(description="not supported, but for empty")] = None

    def prompts(self, known: Prompts) -> list[tuple[int, ...]]:
        return [
            known.of_text(prompt, field="prompt")
            if isinstance(prompt, str)
            else known.of_tokens(prompt, "prompt")
            for prompt in self.prompt
        ]

    def manner(self, most: int) -> Manner:
        """`most`: new tokens of one text. Raises `InvalidRequestError` for more."""
        length = _within("max_tokens", self.max_tokens, most) or min(COMPLETION_TOKENS, most)
        return self._manner(length, self.logprobs)


class TextPart(Wire):
    type: Literal["text"]
    text: Content


class Message(Wire):
    role: Literal["developer", "system", "user", "assistant"]
    content: Annotated[list[TextPart], as_parts] = Field(
        min_length=1, description="a text, or a list of text parts, each a line"
    )
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

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_tokens: NewTokens = Field(None, description="the older name of `max_completion_tokens`")
    max_completion_tokens: NewTokens = Field(None, description="default: the server's bound")
    logprobs: StrictBool | None = None
    top_logprobs: Logprobs | None = None
    audio: Nothing = None
    function_call: Annotated[Any, only("none")] = None
    functions: NoList = None
    metadata: Unused = None
    modalities: Annotated[Any, only(["text"])] = None
    moderation: Nothing = None
    parallel_tool_calls: Annotated[Any, only(True, False)] = None
    prediction: Nothing = None
    prompt_cache_key: Unused = None
    prompt_cache_options: Unused = None
    prompt_cache_retention: Unused = None
    reasoning_effort: Annotated[Any, only("none")] = None
    response_format: Annotated[Any, only({"type": "text"})] = None
    safety_identifier: Unused = None
    service_tier: Annotated[Any, only("auto", "default")] = None
    store: Off = None
    tool_choice: Annotated[Any, only("none", "auto")] = None
    tools: NoList = None
    verbosity: Annotated[Any, only("medium")] = None
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
        length = _within("max_tokens", self.max_tokens, most) or _within(
            "max_completion_tokens", self.max_completion_tokens, most
        )
        return self._manner(length or most, (self.top_logprobs or 0) if self.logprobs else None)


def _within(field: str, asked: int | None, most: int) -> int | None:
    if asked is not None and asked > most:
        raise InvalidRequestError([FieldError(field, f"is {asked}, at most {most} are generated")])
    return asked
