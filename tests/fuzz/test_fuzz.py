"""Some of `make fuzz`: whatever is sent, the server answers as its document says."""

from tests.fuzz import campaign

CASES = 2_000


def test_every_answer_is_as_documented() -> None:
    outcome = campaign.run(CASES, shown=False)

    assert outcome.code == 0, outcome.output
    assert outcome.faults == []
    assert outcome.cases >= CASES
    # The server has seen them, and has failed at none.
    assert sum(outcome.answers.values()) >= CASES
    assert max(status for _, status in outcome.answers) < 500
