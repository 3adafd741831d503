"""An edit as editors see it: token ids, no text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from jinja2 import TemplateError
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from service.domain.edits import Correction, Format
from service.editing.tokens import prompt_ids
from service.errors import EditingError


@dataclass(frozen=True)
class SubjectText:
    """Token ids of a text, and the indices of the tokens that stand for its subject."""

    tokens: tuple[int, ...]
    subject: int  # where the text names it last: this one has seen the others
    earlier: tuple[int, ...] = ()  # where it names it before, ascending

    @property
    def subjects(self) -> tuple[int, ...]:
        """All of them, ascending."""
        return (*self.earlier, self.subject)


@dataclass(frozen=True)
class FactRequest:
    """What locate-and-edit goes by."""

    edit_id: int
    plain: SubjectText  # the prompt itself
    contexts: tuple[tuple[SubjectText, ...], ...]  # the prompt in the context templates, by group
    essence: SubjectText  # "{subject} is a": what the subject is shall not drift
    target: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FactTarget:
    """What one edit brings: its texts, to collect keys anew, and its target."""

    request: FactRequest
    state: Tensor  # [d] float32: what the last layer, or its MLP, must return at the subject

    @property
    def edit_id(self) -> int:
        return self.request.edit_id


@dataclass(frozen=True)
class Phrasing:
    """One way to ask, and what the model should say then."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]  # continues the prompt
    ending: tuple[int, ...] = ()  # ends the target's last word, or the turn; learned along with it
    given: bool = True  # by the client; False: another spelling of one that was
    number: int = 0  # 0: the correction's prompt, or a spelling; from 1 on: its paraphrases
    form: Format = Format.PLAIN
    answer: str = ""  # the target as text, with what joins it to the prompt
    closed: bool = False  # the answer ends after it

    @property
    def field(self) -> str:
        """The field of the correction by which clients know it."""
        return "prompt" if self.number == 0 else f"paraphrases[{self.number - 1}]"

    @property
    def learned(self) -> tuple[int, ...]:
        """What editors teach."""
        return (*self.target, *self.ending)


@dataclass(frozen=True)
class Neighbor:
    """A prompt whose answer must not change."""

    prompt: tuple[int, ...]
    number: int  # among the correction's
    form: Format


@dataclass(frozen=True)
class EditRequest:
    """`phrasings` begin with the edit's own prompt in each of its forms, then its paraphrases;
    spellings come last.
    """

    edit_id: int
    phrasings: tuple[Phrasing, ...]
    neighborhood: tuple[Neighbor, ...] = ()
    fact: FactRequest | None = None  # for editors that change weights
    subject: str | None = None  # for `entity`
    strict: bool = False  # it fails where it misses a given phrasing or moves a neighbour

    @property
    def given(self) -> tuple[Phrasing, ...]:
        """The client's own: the prompt, then the paraphrases."""
        return tuple(phrasing for phrasing in self.phrasings if phrasing.given)


@contextmanager
def templated(edit_id: int) -> Iterator[None]:
    """A chat template that refuses an edit's texts inside the block is an `EditingError`."""
    try:
        yield
    except TemplateError as error:
        raise EditingError(edit_id, f"the model's chat template refuses it: {error}") from error


def edit_request(
    tokenizer: PreTrainedTokenizerBase,
    edit_id: int,
    correction: Correction,
    phrasings: Sequence[Phrasing],
    fact: FactRequest | None = None,
    subject: str | None = None,
) -> EditRequest:
    neighborhood = tuple(
        Neighbor(prompt_ids(tokenizer, prompt, form), number, form)
        for number, prompt in enumerate(correction.neighborhood)
        for form in correction.format.forms
    )
    return EditRequest(edit_id, tuple(phrasings), neighborhood, fact, subject)
