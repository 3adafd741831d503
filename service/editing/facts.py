"""An edit's fact for locate-and-edit: its prompt in contexts, and where the subject stands."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from service.domain.edits import Correction
from service.editing.positions import Position, span_token, subject_spans, subject_tokens
from service.editing.requests import FactRequest, SubjectText
from service.editing.tokens import prompt_of

ESSENCE = "{} is a"


def fact_request(
    tokenizer: PreTrainedTokenizerBase,
    edit_id: int,
    correction: Correction,
    target: tuple[int, ...],
    templates: Sequence[Sequence[str]],
    position: Position,
) -> FactRequest:
    """`target`: what the model should learn to say (token ids); `templates`: groups of texts with
    `{}` where the prompt goes. Raises `ValueError` for an edit without a subject, or whose subject
    is not where `position` looks for it.
    """
    form = correction.format.forms[0]
    if correction.subject is None:
        raise ValueError("there is none")
    prompt = prompt_of(tokenizer, correction.prompt, form)
    # As the prompt spells it, which may write its accents otherwise.
    start, end = subject_spans(prompt, correction.subject)[0]
    subject = prompt.text[start:end]

    def text(before: str) -> SubjectText:
        # The subject is looked for in the prompt, not in what a template says before it.
        found = prompt_of(tokenizer, before + correction.prompt, form)
        *earlier, last = subject_tokens(found.after(before), subject, position)
        return SubjectText(found.tokens, last, tuple(earlier))

    contexts = [[t.partition("{}")[0] for t in group] for group in templates]
    return FactRequest(
        edit_id,
        plain=text(""),
        contexts=tuple(tuple(text(before) for before in group) for group in contexts),
        essence=_essence(tokenizer, subject, position),
        target=target,
    )


def _essence(tokenizer: PreTrainedTokenizerBase, subject: str, position: Position) -> SubjectText:
    """Begins with the subject, which may be one of its other words, too."""
    found = prompt_of(tokenizer, ESSENCE.replace("{}", subject))
    return SubjectText(found.tokens, span_token(found, (0, len(subject)), position))
