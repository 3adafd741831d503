"""What OpenAI's clients send. Null stands for a parameter's default everywhere."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, StrictBool, StrictStr, ValidationInfo, field_validator

from service.api.fields import (
    STREAM,
    Count,
    NewTokens,
    Seed,
    StopList,
    Temperature,
    TopP,
    WholeNumber,
)
from service.api.openai.fields import (
    Off,
    Only,
    Penalty,
    PromptList,
    Unused,
)
from service.api.requests import Wire
from service.engine.sampling import Sampling, any_seed
from service.errors import FieldError, InvalidRequestError
from service.operations.ask import Manner
from service.operations.prompts import Prompts

COMPLETION_TOKENS = 16  # OpenAI's default


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
    logit_bias: Annotated[Any, Only({}), Field(description="not supported, but for {}")] = None
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

    def manner_of(self, new_tokens: int, logprobs: int | None) -> Manner:
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
    best_of: Annotated[Any, Only(1), Field(description="not supported, but for 1")] = None
    suffix: Annotated[Any, Only(""), Field(description="not supported, but for empty")] = None

    def prompts(self, known: Prompts) -> list[tuple[int, ...]]:
        return [
            known.of_text(prompt) if isinstance(prompt, str) else known.of_tokens(prompt, "prompt")
            for prompt in self.prompt
        ]

    def manner(self, most: int) -> Manner:
        """`most`: new tokens of one text. Raises `InvalidRequestError` for more."""
        length = within("max_tokens", self.max_tokens, most) or min(COMPLETION_TOKENS, most)
        return self.manner_of(length, self.logprobs)


def within(field: str, asked: int | None, most: int) -> int | None:
    """Raises `InvalidRequestError` for more than `most`."""
    if asked is not None and asked > most:
        raise InvalidRequestError([FieldError(field, f"is {asked}, at most {most} are generated")])
    return asked
