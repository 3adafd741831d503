"""Tokens and their logprobs, as completions and as chats have them."""

from collections.abc import Sequence

from service.api.openai.responses import (
    ChatLogprobs,
    ChatToken,
    ChatTokenChosen,
    CompletionLogprobs,
)
from service.api.responses.generated import TextOf
from service.engine.sampling import Choice

HALF = "\N{REPLACEMENT CHARACTER}"  # how a token that is a part of a character reads


def of_completion(
    choices: Sequence[Choice], text_of: TextOf, offset: int = 0
) -> CompletionLogprobs | None:
    """None where no logprobs were asked for. `offset`: characters of the text before these."""
    asked = _asked(choices)
    if not asked:
        return None
    found = CompletionLogprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
    for choice, logprob in asked:
        token = text_of(choice.token)
        found.tokens.append(token)
        found.token_logprobs.append(logprob)
        # Of tokens that read the same, the likeliest stands.
        likeliest = reversed([*choice.likeliest, (choice.token, logprob)])
        found.top_logprobs.append({text_of(one): value for one, value in likeliest})
        found.text_offset.append(offset)
        offset += len(token)
    return found


def of_chat(choices: Sequence[Choice], text_of: TextOf) -> ChatLogprobs | None:
    """None where no logprobs were asked for."""
    content = [
        ChatTokenChosen(
            **_token(text_of(choice.token), logprob).model_dump(),
            top_logprobs=[_token(text_of(one), value) for one, value in choice.likeliest],
        )
        for choice, logprob in _asked(choices)
    ]
    return ChatLogprobs(content=content) if content else None


def _asked(choices: Sequence[Choice]) -> list[tuple[Choice, float]]:
    return [(choice, choice.logprob) for choice in choices if choice.logprob is not None]


def _token(text: str, logprob: float) -> ChatToken:
    spelled = None if HALF in text else list(text.encode())
    return ChatToken(token=text, logprob=logprob, bytes=spelled)
