"""Which other record's subject, or prompt, goes with a record's own."""

from dataclasses import replace

from service.evaluation.datasets import Record
from service.evaluation.others import about_other_subjects, in_other_templates

PERU = Record("The capital of Peru is", "Quito", "Peru", ("Lima",))
CHAD = Record("In Chad, people pay with the", "euro", "Chad", ("franc",))
BACH = Record("Bach was born in", "Rome", "Bach", ("Eisenach",))


def test_the_next_record_is_taken_and_the_first_is_next_to_the_last() -> None:
    records = [PERU, CHAD, BACH]
    assert about_other_subjects(records) == [
        "The capital of Chad is",
        "In Bach, people pay with the",
        "Peru was born in",
    ]
    assert in_other_templates(records) == [
        "In Peru, people pay with the",
        "Chad was born in",
        "The capital of Bach is",
    ]


def test_what_is_edited_itself_is_not_expected_to_stay() -> None:
    """Neither another edit's prompt nor a rephrasing of one."""
    mali = Record("The capital of Mali is", "Accra", "Mali", ("Bamako",))
    chad = replace(CHAD, paraphrases=("The capital of Chad is",))
    assert about_other_subjects([PERU, mali, chad, BACH])[0] == "The capital of Bach is"
    code = Record("Peru has the code", "XX", "Peru", ("PE",))
    assert in_other_templates([PERU, code, CHAD])[0] == "In Peru, people pay with the"


def test_the_same_subject_or_template_is_no_other() -> None:
    again = Record("The currency of Peru is the", "euro", "Peru", ("sol",))
    assert about_other_subjects([PERU, again]) == []
    mali = Record("The capital of Mali is", "Accra", "Mali", ("Bamako",))
    assert in_other_templates([PERU, mali]) == []


def test_answers_that_are_alike_would_tell_nothing() -> None:
    same_target = replace(CHAD, target_new="Quito")
    same_answer = replace(CHAD, target_true=("Lima", "franc"))
    for other in (same_target, same_answer):
        assert about_other_subjects([PERU, other]) == []
        assert in_other_templates([PERU, other, BACH])[0] == "Peru was born in"


def test_records_without_a_subject_in_their_prompt_are_left_out() -> None:
    nameless, elsewhere = replace(CHAD, subject=None), replace(CHAD, subject="Tchad")
    for record in (nameless, elsewhere):
        assert about_other_subjects([PERU, record, BACH]) == [
            "The capital of Bach is",
            "Peru was born in",
        ]
    assert in_other_templates([nameless]) == []


def test_a_subject_is_replaced_wherever_it_stands_as_a_whole_word() -> None:
    twice = Record("Peru, a part of Peruvia: Peru is", "Quito", "Peru", ("Lima",))
    assert about_other_subjects([twice, CHAD])[0] == "Chad, a part of Peruvia: Chad is"


def test_subjects_that_are_not_edited_go_first() -> None:
    mali = Record("The currency of Mali is the", "yen", "Mali", ("dinar",))
    again = replace(PERU, prompt="The calling code of Peru is")  # that is edited
    assert about_other_subjects([PERU, CHAD, BACH], [again, mali, BACH]) == [
        "The capital of Mali is",
        "In Mali, people pay with the",
        "Mali was born in",
    ]
