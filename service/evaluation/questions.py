"""What is asked about records, of a model in this process or of a server."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.evaluation.datasets import Record
from service.evaluation.figures import Asked, Said, any_of


@dataclass(frozen=True)
class Question:
    """A prompt, with what should be likelier after it than something else. Each of several targets
    is right.
    """

    prompt: str
    wanted: tuple[str, ...]  # one at least
    other: tuple[str, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        return (*self.wanted, *self.other)

    def answered(self, said: Sequence[Said]) -> Asked:
        """`said`: of each of the targets."""
        wanted, other = (any_of(some) for some in _split(said, len(self.wanted)))
        if wanted is None:
            raise ValueError("a question has one wanted target at least")
        return Asked(wanted, other)


def of_prompts(records: Iterable[Record]) -> list[Question]:
    return [Question(r.prompt, (r.target_new,), r.target_true) for r in records]


def of_paraphrases(records: Iterable[Record], given: int) -> list[Question]:
    """Asks the paraphrases from number `given` on."""
    return [
        Question(paraphrase, (r.target_new,), r.target_true)
        for r in records
        for paraphrase in r.paraphrases[given:]
    ]


def of_neighbors(records: Iterable[Record]) -> list[Question]:
    """Asks the neighbours whose answer is known."""
    return [
        Question(neighbor.prompt, neighbor.answers, (r.target_new,))
        for r in records
        for neighbor in r.neighborhood
        if neighbor.answers
    ]


def _split(said: Sequence[Said], at: int) -> tuple[Sequence[Said], Sequence[Said]]:
    return said[:at], said[at:]
