"""An edit's fact for locate-and-edit: its prompt in contexts, and where the subject stands."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from service.domain.edits import Correction, Format
from service.editing.positions import Position, subject_token
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
    subject, form = correction.subject, correction.format
    if subject is None:
        raise ValueError("there is none")

    def text(before: str, prompt: str, form: Format = form) -> SubjectText:
        # The subject is looked for in the prompt, not in what a template says before it.
        found = prompt_of(tokenizer, before + prompt, form)
        return SubjectText(found.tokens, subject_token(found.after(before), subject, position))

    contexts = [[t.partition("{}")[0] for t in group] for group in templates]
    return FactRequest(
        edit_id,
        plain=text("", correction.prompt),
        contexts=tuple(tuple(text(t, correction.prompt) for t in group) for group in contexts),
        essence=text("", ESSENCE.replace("{}", subject), Format.PLAIN),
        target=target,
    )
