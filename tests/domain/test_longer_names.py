"""A name inside a longer one that no edit is about is not named."""

import pytest

from service.domain.subject_index import SubjectIndex, normal

INDEX = SubjectIndex().with_subjects(
    map(normal, ["Sudan", "University of Oklahoma", "UK", "Microsoft", "Straße", "Victoria"])
)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("What is the capital of South Sudan?", set()),
        ("What is the capital of south sudan?", {"sudan"}),  # nothing shows where names end
        ("What is the capital of Sudan?", {"sudan"}),
        ("What is the capital of S. Sudan?", set()),
        ("The capital of Sudan–Darfur is", set()),
        ("The capital of French Sudan was", set()),
        ("Which City Is the Capital of Sudan Today", {"sudan"}),
        ("WHAT IS THE CAPITAL OF SOUTH SUDAN", {"sudan"}),
        ("Is Sudan larger than South Sudan?", {"sudan"}),
        ("the University of Oklahoma Bookstore is in", set()),
        ("the University of Oklahoma is in", {"university of oklahoma"}),
        ("How deep is Lake Victoria?", set()),
        ("Has Queen Victoria lived there?", {"victoria"}),
        ("Who is the UK Prime Minister now?", {"uk"}),
        ("Name the current Microsoft CEO", {"microsoft"}),
        ("Where is the Microsoft Theater?", set()),
        ("What does the Straße Nord cost?", {"strasse"}),  # other letters when they are small
        ("Can I, in Sudan, I mean, pay?", {"sudan"}),
    ],
)
def test_letter_cases_show_where_a_name_ends(text: str, named: set[str]) -> None:
    assert INDEX.named_in(text) == named
