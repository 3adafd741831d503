"""Generated text as it goes out by the wire, whole or in pieces."""

from collections.abc import Callable, Sequence

from pydantic import BaseModel, Field

from service.api.responses.explained import FiringOut
from service.domain.edits import Format
from service.engine.running import FinishReason, Generation, Piece
from service.engine.sampling import Choice
from service.operations.answering import Answer

TextOf = Callable[[int], str]  # a token's text


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, prompt: int, texts: Sequence[Generation]) -> "Usage":
        completion = sum(text.completion_tokens for text in texts)
        return cls(
            prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
        )


class TokenOut(BaseModel):
    token: str
    logprob: float = Field(description="natural logarithm, of what the model says by itself")
    likeliest: list["TokenOut"] | None = Field(None, description="as many as were asked for")

    @classmethod
    def of(cls, choice: Choice, text_of: TextOf) -> "TokenOut | None":
        """None where no logprobs were asked for."""
        if choice.logprob is None:
            return None
        likeliest = [cls(token=text_of(t), logprob=logprob) for t, logprob in choice.likeliest]
        return cls(token=text_of(choice.token), logprob=choice.logprob, likeliest=likeliest)


class TextOut(BaseModel):
    text: str
    finish_reason: FinishReason
    logprobs: list[TokenOut] | None = None
    explain: list[FiringOut] | None = None

    @classmethod
    def of(cls, generation: Generation, text_of: TextOf) -> "TextOut":
        tokens = [TokenOut.of(choice, text_of) for choice in generation.choices]
        asked = [token for token in tokens if token is not None]
        return cls(
            text=generation.text,
            finish_reason=generation.finish_reason,
            logprobs=asked if asked else None,
            explain=FiringOut.of(generation.record, text_of),
        )


class GenerateOut(TextOut):
    """The text, or the first of several."""

    version: int
    format: Format = Field(description="how the prompt reached the model")
    usage: Usage
    choices: list[TextOut] | None = Field(None, description="all texts, where several were asked")

    @classmethod
    def answered(cls, answer: Answer, form: Format, text_of: TextOf) -> "GenerateOut":
        texts = [TextOut.of(text, text_of) for text in answer.texts]
        return cls(
            **texts[0].model_dump(),
            version=answer.version,
            format=form,
            usage=Usage.of(answer.texts[0].prompt_tokens, answer.texts),
            choices=texts if len(texts) > 1 else None,
        )


class PieceOut(BaseModel):
    """A frame of a stream: what was added to a text, or how it ended."""

    index: int = Field(description="which of the texts")
    text: str
    version: int
    logprobs: list[TokenOut] | None = None
    finish_reason: FinishReason | None = Field(None, description="in a text's last frame")
    usage: Usage | None = Field(None, description="in a text's last frame")
    explain: list[FiringOut] | None = Field(None, description="in a text's last frame")

    @classmethod
    def of(cls, version: int, index: int, event: Piece | Generation, text_of: TextOf) -> "PieceOut":
        if isinstance(event, Generation):
            return cls(
                index=index,
                text="",
                version=version,
                finish_reason=event.finish_reason,
                usage=Usage.of(event.prompt_tokens, [event]),
                explain=FiringOut.of(event.record, text_of),
            )
        tokens = [TokenOut.of(choice, text_of) for choice in event.choices]
        asked = [token for token in tokens if token is not None]
        return cls(index=index, text=event.text, version=version, logprobs=asked or None)


class CompareOut(BaseModel):
    left: GenerateOut
    right: GenerateOut
    same: bool
