"""Subjects are found in texts as whole words, however they are written."""

import pytest

from service.domain.subject_index import SubjectIndex, normal

INDEX = SubjectIndex().with_subjects(
    map(
        normal,
        ["France", "New York", "York", "東京", "U.S. government", "हिन्दी", "Saint-Denis", "Saint"],
    )
)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("What's FRANCE's capital?", {"france"}),
        ("The mayor of New\n York", {"new york"}),  # York lies inside
        ("York is old, and New York is not", {"new york", "york"}),
        ("Francey and Yorkshire", set()),
        ("東京都の人口", {"東京"}),  # no spaces between words
        ("The U.S. government said so", {"u.s. government"}),
        ("हिन्दी में", {"हिन्दी"}),
        ("हिन्दीया", set()),
        ("to saint-denis!", {"saint-denis"}),
        ("a saint-martin, a saint", {"saint"}),
        ("Ｆｒａｎｃｅ", {"france"}),
        ("", set()),
    ],
)
def test_names_are_whole_words(text: str, named: set[str]) -> None:
    assert INDEX.named_in(text) == named


def test_a_text_that_is_cut_off_in_front_does_not_begin_with_a_whole_word() -> None:
    assert INDEX.named_in("york, and york") == {"york"}
    assert INDEX.named_in("york", whole=False) == set()
    assert INDEX.named_in("of york", whole=False) == {"york"}


def test_an_index_leaves_the_one_that_it_grew_from_as_it_was() -> None:
    grown = INDEX.with_subjects(["spain", "spain"])
    assert INDEX.named_in("spain") == set()
    assert grown.named_in("spain and france") == {"spain", "france"}
    assert grown.by_head["spain",] == ("spain",)
