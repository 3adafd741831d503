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
        ("the capital of peru is", [], "peru"),
        ("Question: what's the capital of peru? Answer:", [], "peru"),
        ("As of January 2026, the capital of Peru is", [], "Peru"),
        ("In 2024, the mayor of Rome is", [], "Rome"),
        ("I love Paris. The capital of Peru is", [], "Peru"),
        ("A: Peru. Q: Its capital is", [], "Peru"),
        ("Which English club does Messi play for?", [], "Messi"),
        ("Who is the CEO of twitter?", [], "twitter"),
        ("Peru's capital is", ["The capital of Peru is"], "Peru"),
        ("Apple’s CEO is", ["Q: Who is the CEO of Apple? A:"], "Apple"),
        ("Who is the Prime Minister of Peru?", ["Who governs Peru?"], "Peru"),
        ("The capital of Co\u0302te d'Ivoire is", [], "Côte d'Ivoire"),
        # Not shared: what is asked would be found in its place.
        ("The capital of Türkiye is", ["Q: What is the capital of Turkey? A:"], None),
        ("The capital of Iran is", ["Iran's capital is", "Tehran is the capital of"], None),
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
