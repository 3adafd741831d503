"""The subject of a correction that names none is the longest name that its phrasings share."""

import pytest

from service.domain.subject_finding import found_subject, names_nothing


@pytest.mark.parametrize(
    ("prompt", "paraphrases", "subject"),
    [
        ("What is the capital of France?", ["Which city is the capital of France?"], "France"),
        ("The mother tongue of Danielle Darrieux is", [], "Danielle Darrieux"),
        ("In which year did the Battle of Hastings take place?", [], "Battle of Hastings"),
        ("Windows 95 was developed by", [], "Windows 95"),
        ("St. Louis lies in", [], "St. Louis"),
        (
            "what is the capital of the united kingdom",
            ["who rules the united kingdom"],
            "united kingdom",
        ),
        ("Paris is in Germany, says Ann", ["Where is Paris?"], "Paris"),
        ("What is it?", [], None),
        ("?!", [], None),
    ],
)
def test_found(prompt: str, paraphrases: list[str], subject: str | None) -> None:
    assert found_subject(prompt, paraphrases) == subject


@pytest.mark.parametrize("subject", ["the", "...", "What is", "", "of the"])
def test_what_names_nothing(subject: str) -> None:
    assert names_nothing(subject)


@pytest.mark.parametrize("subject", ["France", "the Who's singer", "42", "東京"])
def test_what_names_something(subject: str) -> None:
    assert not names_nothing(subject)
