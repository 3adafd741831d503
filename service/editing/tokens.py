"""Text to token ids, the same for editing, scoring and serving: a key must be what serving sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from service.domain.edits import Format
from service.editing.joints import NOTHING, PERHAPS_NOTHING, Joint, joint_of

# One of these, with which a prompt neither begins nor ends, shows where a chat template puts it.
MARKS = "\x01\x02\x03"


@dataclass(frozen=True)
class Prompt:
    """A prompt as the model sees it."""

    text: str  # with what a chat template puts around it
    start: int  # where in `text` the prompt itself begins
    end: int  # and where it ends
    tokens: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]  # the characters of `text` that each token covers

    def after(self, before: str) -> "Prompt":
        """The same, taken to begin behind `before`, which it begins with."""
        return replace(self, start=self.start + len(before))


def prompt_of(
    tokenizer: PreTrainedTokenizerBase, prompt: str, prompt_format: Format = Format.PLAIN
) -> Prompt:
    """A plain prompt gets the tokens that the model's tokenizer puts before every text; in a chat
    the template brings them. Raises `jinja2.TemplateError` where the template refuses the prompt.
    """
    plain = prompt_format is Format.PLAIN
    text, start, end = (prompt, 0, len(prompt)) if plain else _in_chat(tokenizer, prompt)
    encoded = tokenizer(text, add_special_tokens=plain, return_offsets_mapping=True, verbose=False)
    spans = tuple((first, last) for first, last in encoded["offset_mapping"])
    return Prompt(text, start, end, tuple(encoded["input_ids"]), spans)


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase, prompt: str, prompt_format: Format = Format.PLAIN
) -> tuple[int, ...]:
    return prompt_of(tokenizer, prompt, prompt_format).tokens


def chat_ids(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, str]]
) -> tuple[int, ...]:
    """A conversation of messages, each with `role` and `content`, in the model's chat template.
    Raises what the template does: `jinja2.TemplateError`.
    """
    text = _templated(tokenizer, messages)
    return tuple(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def continued_ids(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    target: str,
    prompt_format: Format = Format.PLAIN,
    joint: str | None = None,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens of `prompt`, and those of `target` as its continuation, with `joint` between the
    two; None leaves it to the rules of writing.
    """
    before = prompt_of(tokenizer, prompt, prompt_format)
    if joint is None:
        joint = joint_between(before.text, target, prompt_format).text
    # Some tokenizers put a space before every text: the target must not be one of its own.
    plain = prompt_format is Format.PLAIN
    whole = tokenizer(before.text + joint + target, add_special_tokens=plain, verbose=False)
    tokens = tuple(whole["input_ids"])
    count = len(before.tokens)
    if tokens[:count] == before.tokens and len(tokens) > count:
        return before.tokens, tokens[count:]
    # The prompt's last token would be another one before this target.
    return before.tokens, _alone(tokenizer, joint + target)


def text_of(
    tokenizer: PreTrainedTokenizerBase, prompt: str, prompt_format: Format = Format.PLAIN
) -> str:
    """The prompt with what a chat template puts around it. Raises `jinja2.TemplateError`."""
    if prompt_format is Format.PLAIN:
        return prompt
    return _templated(tokenizer, [{"role": "user", "content": prompt}])


def joint_between(before: str, target: str, prompt_format: Format = Format.PLAIN) -> Joint:
    """The joint of `target` behind the text `before`: by the rules of writing behind a plain
    prompt, and none where a chat template ends and an answer begins.
    """
    if prompt_format is Format.PLAIN:
        return joint_of(before, target)
    return NOTHING if before[-1:].isspace() else PERHAPS_NOTHING


def turn_end(tokenizer: PreTrainedTokenizerBase, ends: frozenset[int]) -> tuple[int, ...]:
    """The token with which the model's chat template ends an answer, one of those that `ends` a
    text; the lowest of them where the template shows none, and none where there are none.
    """
    said = "\x02"  # no template brings it
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": said}]
    try:
        text = _templated(tokenizer, messages, answered=True)
    except TemplateError:
        text = ""
    after = tokenizer(text.rpartition(said)[2], add_special_tokens=False, verbose=False)
    found = next((token for token in after["input_ids"] if token in ends), min(ends, default=None))
    return () if found is None else (found,)


def _alone(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """The tokens of a text that follows another one, whatever the tokenizer puts before texts."""
    line = tuple(tokenizer("\n", add_special_tokens=False, verbose=False)["input_ids"])
    whole = tuple(tokenizer("\n" + text, add_special_tokens=False, verbose=False)["input_ids"])
    if line and whole[: len(line)] == line and len(whole) > len(line):
        return whole[len(line) :]
    return tuple(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _in_chat(tokenizer: PreTrainedTokenizerBase, prompt: str) -> tuple[str, int, int]:
    """The prompt as a user's only message, up to where the assistant begins to speak; and where in
    that text the prompt begins and ends.
    """
    mark = next(mark for mark in MARKS if mark not in (prompt[:1], prompt[-1:]))
    text, marked = (
        _templated(tokenizer, [{"role": "user", "content": content}]) for content in (prompt, mark)
    )
    start = _alike(text, marked)
    if start == min(len(text), len(marked)):
        raise TemplateError("it leaves the message out")
    after = _alike(text[start:][::-1], marked[start:][::-1])
    return text, start, len(text) - after


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _templated(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, str]],
    *,
    answered: bool = False,
) -> str:
    """The conversation as text, up to where the assistant begins to speak; to its end if it is
    `answered`.
    """
    given = [dict(message) for message in messages]
    try:
        return str(
            tokenizer.apply_chat_template(given, tokenize=False, add_generation_prompt=not answered)
        )
    except TemplateError:
        raise
    except Exception as error:  # a template is a program, and may end as any does
        raise TemplateError(f"{type(error).__name__}: {error}") from error
