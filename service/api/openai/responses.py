"""What OpenAI's clients are answered, whole or in the frames of a stream."""

from typing import Literal

from pydantic import BaseModel, Field

from service.api.responses.generated import Usage
from service.engine.running import FinishReason


class CompletionLogprobs(BaseModel):
    """Lists of the same length, one place for each token."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int] = Field(description="where in the text the token begins")


class CompletionChoice(BaseModel):
    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason | None = Field(description="null until a stream's last frame")


class Answered(BaseModel):
    id: str
    created: int = Field(description="seconds since 1970")
    model: str
    system_fingerprint: str = Field(description="`errata-7` for version 7")
    usage: Usage | None = Field(None, description="in a stream where it was asked for")


class CompletionOut(Answered):
    object: Literal["text_completion"] = "text_completion"
    choices: list[CompletionChoice]


class ChatToken(BaseModel):
    token: str
    logprob: float
    bytes: list[int] | None = Field(description="UTF-8; null for a part of a character")


class ChatTokenChosen(ChatToken):
    top_logprobs: list[ChatToken]


class ChatLogprobs(BaseModel):
    content: list[ChatTokenChosen]
    refusal: None = None


class ChatMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class ChatOut(Answered):
    object: Literal["chat.completion"] = "chat.completion"
    choices: list[ChatChoice]


class ChatDelta(BaseModel):
    index: int
    delta: dict[str, str]
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason | None = None


class ChatChunk(Answered):
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[ChatDelta]


class ModelOut(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["errata"] = "errata"


class ModelsOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelOut] = Field(description="the current version, then the latest ones by number")
