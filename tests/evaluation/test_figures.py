"""Every figure against a case that was worked out by hand."""

import pytest

from service.evaluation.figures import Asked, Figures, Said, any_of, figures


def asked(wanted: float, other: float, said: bool = False) -> Asked:
    """Log-probabilities of the target that a prompt should have and of the other one."""
    return Asked(Said(wanted, said), Said(other, not said))


def test_the_figures_by_hand() -> None:
    # Three of four edits make the new target likelier; two of them say it.
    prompts = [asked(-0.1, -3.0, True), asked(-0.5, -0.9), asked(-0.2, -2.0, True), asked(-4, -1)]
    # One of three paraphrases, which is not said.
    paraphrases = [asked(-1.0, -1.5), asked(-2.0, -1.5), asked(-1.5, -1.5)]
    # Both neighbours keep P(true) above P(new); one still says its true answer.
    neighbors = [asked(-0.1, -5.0, True), asked(-0.6, -0.7)]
    assert figures(prompts, paraphrases, neighbors) == Figures(
        efficacy=3 / 4,
        paraphrase=1 / 3,
        neighborhood=1.0,
        efficacy_exact=2 / 4,
        paraphrase_exact=0.0,
        neighborhood_exact=1 / 2,
    )


def test_a_tie_is_no_success() -> None:
    assert figures([asked(-1.0, -1.0)], [], []).efficacy == 0.0


@pytest.mark.parametrize("name", ["paraphrase", "neighborhood", "neighborhood_exact"])
def test_what_a_dataset_has_none_of_has_no_figure(name: str) -> None:
    assert getattr(figures([asked(-1, -2)], [], []), name) is None


def test_of_several_right_answers_the_likeliest_counts() -> None:
    """P(new) 0.3 lies above one true answer's 0.2, and below the other's 0.4."""
    new, less, more = Said(-1.2, False), Said(-1.6, True), Said(-0.9, False)
    true = any_of([less, more])
    assert true == Said(-0.9, True)
    assert figures([Asked(new, true)], [], []).efficacy == 0.0
    assert figures([], [], [Asked(Said(-0.9, True), new)]).neighborhood == 1.0
    assert any_of([]) is None


def test_without_a_true_answer_nothing_is_compared() -> None:
    told = figures([Asked(Said(-1.0, True), None), asked(-1.0, -2.0)], [], [])
    assert (told.efficacy, told.efficacy_exact) == (1.0, 0.5)
    unknown = figures([Asked(Said(-1.0, True), None)], [], [])
    assert (unknown.efficacy, unknown.efficacy_exact) == (None, 1.0)
