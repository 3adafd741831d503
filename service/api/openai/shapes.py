"""Texts of the engine in OpenAI's two shapes."""

import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from service.api.openai.logprobs import of_chat, of_completion
from service.api.openai.responses import (
    Answered,
    ChatChoice,
    ChatChunk,
    ChatDelta,
    ChatMessage,
    ChatOut,
    CompletionChoice,
    CompletionOut,
)
from service.api.responses.generated import TextOf, Usage
from service.engine.running import Generation, Piece


def heading(prefix: str, model: str, version: int) -> Answered:
    """What an answer, and every frame of it, begins with."""
    return Answered(
        id=f"{prefix}-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=model,
        system_fingerprint=f"errata-{version}",
    )


class Shape(Protocol):
    def opening(self, count: int, /) -> Iterator[Answered]:
        """The frames before the first piece of `count` texts."""
        ...

    def frame(self, index: int, event: Piece | Generation) -> Answered: ...

    def closing(self, usage: Usage) -> Answered:
        """The frame that says how many tokens it was."""
        ...


class Completions:
    def __init__(self, model: str, version: int, text_of: TextOf) -> None:
        self._heading = heading("cmpl", model, version).model_dump()
        self._text_of = text_of
        self._offsets: Counter[int] = Counter()  # characters that each text's tokens had so far

    def whole(self, texts: Sequence[Generation], usage: Usage) -> CompletionOut:
        choices = [
            CompletionChoice(
                index=index,
                text=text.text,
                logprobs=of_completion(text.choices, self._text_of),
                finish_reason=text.finish_reason,
            )
            for index, text in enumerate(texts)
        ]
        return CompletionOut(**self._heading | {"usage": usage}, choices=choices)

    def opening(self, _count: int, /) -> Iterator[Answered]:
        return iter(())

    def frame(self, index: int, event: Piece | Generation) -> Answered:
        if isinstance(event, Generation):
            choice = CompletionChoice(
                index=index, text="", logprobs=None, finish_reason=event.finish_reason
            )
        else:
            logprobs = of_completion(event.choices, self._text_of, self._offsets[index])
            if logprobs is not None:
                self._offsets[index] += sum(map(len, logprobs.tokens))
            choice = CompletionChoice(
                index=index, text=event.text, logprobs=logprobs, finish_reason=None
            )
        return CompletionOut(**self._heading, choices=[choice])

    def closing(self, usage: Usage) -> Answered:
        return CompletionOut(**self._heading | {"usage": usage}, choices=[])


class Chat:
    def __init__(self, model: str, version: int, text_of: TextOf) -> None:
        self._heading = heading("chatcmpl", model, version).model_dump()
        self._text_of = text_of

    def whole(self, texts: Sequence[Generation], usage: Usage) -> ChatOut:
        choices = [
            ChatChoice(
                index=index,
                message=ChatMessage(content=text.text),
                logprobs=of_chat(text.choices, self._text_of),
                finish_reason=text.finish_reason,
            )
            for index, text in enumerate(texts)
        ]
        return ChatOut(**self._heading | {"usage": usage}, choices=choices)

    def opening(self, count: int) -> Iterator[Answered]:
        for index in range(count):
            yield self._chunk(ChatDelta(index=index, delta={"role": "assistant", "content": ""}))

    def frame(self, index: int, event: Piece | Generation) -> Answered:
        if isinstance(event, Generation):
            return self._chunk(ChatDelta(index=index, delta={}, finish_reason=event.finish_reason))
        logprobs = of_chat(event.choices, self._text_of)
        return self._chunk(ChatDelta(index=index, delta={"content": event.text}, logprobs=logprobs))

    def closing(self, usage: Usage) -> Answered:
        return ChatChunk(**self._heading | {"usage": usage}, choices=[])

    def _chunk(self, choice: ChatDelta) -> Answered:
        return ChatChunk(**self._heading, choices=[choice])
