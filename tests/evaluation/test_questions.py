"""What is asked about records, and which of the answers count."""

from service.evaluation.datasets import Neighbor, Record
from service.evaluation.figures import Asked, Said
from service.evaluation.questions import Question, of_neighbors, of_paraphrases, of_prompts

RECORD = Record(
    "The capital of Illinois is",
    "Chicago",
    target_true=("Springfield", "Springfield, Illinois"),
    paraphrases=("Illinois is governed from", "The seat of Illinois is"),
    neighborhood=(Neighbor("The capital of Texas is", ("Austin", "ATX")), Neighbor("Ohio is")),
)


def test_every_true_answer_is_asked() -> None:
    (question,) = of_prompts([RECORD])
    assert question.targets == ("Chicago", "Springfield", "Springfield, Illinois")
    said = [Said(-3.0, False), Said(-2.0, False), Said(-1.0, True)]
    assert question.answered(said) == Asked(Said(-3.0, False), Said(-1.0, True))


def test_given_paraphrases_are_not_asked() -> None:
    assert [one.prompt for one in of_paraphrases([RECORD], 1)] == ["The seat of Illinois is"]


def test_neighbours_without_an_answer_are_not_asked() -> None:
    assert of_neighbors([RECORD]) == [
        Question("The capital of Texas is", ("Austin", "ATX"), ("Chicago",))
    ]
