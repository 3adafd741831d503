"""When a probe holds, and when a version breaks it."""

import pytest

from service.domain.probes import Probe, ProbeChange

ROME = Probe("The capital of Italy is", expect="Rome")


@pytest.mark.parametrize(
    ("expect", "answer", "holds"),
    [
        ("Rome", " Rome.", True),
        ("Rome", "\n\n  Rome, a city", True),
        (" Rome", "Rome", True),
        ("Rome", " Romeo", True),
        ("Rome", " rome", False),
        ("Rome", " the city of Rome", False),
        ("Rome", " Ro", False),
        ("Rome", "", False),
        (None, "", True),
    ],
)
def test_an_answer_begins_with_what_is_expected(
    expect: str | None, answer: str, holds: bool
) -> None:
    assert Probe("The capital of Italy is", expect=expect).holds(answer) is holds


@pytest.mark.parametrize(
    ("before", "after", "broken"),
    [
        (" Rome.", " Florence.", True),
        (" Rome.", " Rome, a city", False),
        (" Florence.", " Rome.", False),
        (" Florence.", " Milan.", False),
    ],
)
def test_what_was_not_said_before_is_not_broken(before: str, after: str, broken: bool) -> None:
    assert ProbeChange(ROME, before, after).broken is broken
    assert not ProbeChange(Probe(ROME.prompt), before, after).broken
