"""What every form is read into."""

from pathlib import Path
from typing import Any

import pytest

from service.atlas import EDITS_FILE
from service.evaluation.datasets import Neighbor, Record, Subject, read_edit_set, read_records
from tests.evaluation.datasets.published import (
    COUNTERFACT,
    EASYEDIT,
    KNOWEDIT,
    MQUAKE,
    OWN,
    RECENT,
    RIPPLE,
    WANTED,
    WIKIBIO,
    ZSRE,
    written,
)

SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.parametrize(
    "form",
    [OWN, COUNTERFACT, EASYEDIT, KNOWEDIT, ZSRE],
    ids=["own", "counterfact", "easyedit", "knowedit", "zsre"],
)
def test_each_form_gives_the_same_record(form: dict[str, Any], tmp_path: Path) -> None:
    file = written(tmp_path, form, form)
    assert read_records(file) == [WANTED, WANTED]
    assert read_records(file, limit=1) == [WANTED]


def test_mquake_lists_the_edits_that_its_questions_need(tmp_path: Path) -> None:
    beyond = {name: MQUAKE[name] for name in ("case_id", "questions", "new_answer")}
    assert read_records(written(tmp_path, MQUAKE)) == [
        Record(
            "Vince McMahon is a citizen of",
            "Libya",
            "Vince McMahon",
            ("United States of America",),
            ("What is the country of citizenship of Vince McMahon?",),
            beyond={**beyond, "relation_id": "P27"},
        ),
        Record(
            "The capital of Libya is",
            "Franklin",
            "Libya",
            ("Tripoli",),
            ("What is the capital of Libya?",),
            beyond={**beyond, "relation_id": "P36"},
        ),
    ]


def test_ripple_edits_are_taken_from_sentences(tmp_path: Path) -> None:
    (record,) = read_records(written(tmp_path, RIPPLE))
    assert record == Record(
        "The name of the country of citizenship of Leonardo DiCaprio is",
        "Syria",
        "Leonardo DiCaprio",
        ("United States of America",),
        neighborhood=(
            Neighbor(
                "The name of the mother of Leonardo DiCaprio is",
                ("Irmelin DiCaprio", "Irmelin Indenbirken"),
            ),
        ),
        beyond={
            "relation": "COUNTRY_OF_CITIZENSHIP",
            "example_type": "popular",
            "Logical_Generalization": RIPPLE["Logical_Generalization"],
        },
    )


@pytest.mark.parametrize(
    ("sentence", "before", "wanted"),
    [
        ("The place of birth of Leo of Rome is Bonn.", None, ("Leo of Rome", "Bonn")),
        ("The gender of Ada is female.", None, ("Ada", "female")),
        ("Super Bowl LV is followed by Super Bowl LVI.", None, ("Super Bowl LV", "Super Bowl LVI")),
        ("Dune II follows Dune.", None, ("Dune II", "Dune")),
        ("The names of the siblings of Bo are Al.", None, ("Bo", "Al")),
        ("The number of children Bo has is 2.", None, ("Bo", "2")),
        ("The name of the award Bo won is Oscar.", None, ("Bo", "Oscar")),
        (
            "The name of the country which Bonn is associated with is Peru.",
            None,
            ("Bonn", "Peru"),
        ),
        (
            "The name of the director of Love is All is Mo.",
            "The name of the director of Love is All is Jo.",
            ("Love is All", "Mo"),
        ),
        (
            "The name of the film of Mo is Life is Beautiful.",
            "The name of the film of Mo is Dune.",
            ("Mo", "Life is Beautiful"),
        ),
        (
            "The name of the anthem that is most likely to be performed in Peru is X.",
            "The name of the anthem that is most likely to be performed in Peru is Y.",
            ("Peru", "X"),
        ),
    ],
)
def test_ripple_sentences(
    sentence: str, before: str | None, wanted: tuple[str, str], tmp_path: Path
) -> None:
    edit = {"prompt": sentence, **({"previous_fact": {"prompt": before}} if before else {})}
    (record,) = read_records(written(tmp_path, {"edit": edit}))
    assert (record.subject, record.target_new) == wanted
    assert f"{record.prompt} {record.target_new}." == sentence


def test_a_sentence_that_could_end_in_two_ways_is_a_fault(tmp_path: Path) -> None:
    edit = {"prompt": "The name of the director of Love is All is Mo."}
    (fault,) = read_edit_set(written(tmp_path, {"edit": edit})).faults
    assert fault.reason == "edit.prompt: does not say where its target begins"


def test_wikibio(tmp_path: Path) -> None:
    (record,) = read_records(written(tmp_path, WIKIBIO))
    assert record == Record(
        WIKIBIO["text"],
        WIKIBIO["labels"],
        "ada lovelace",
        neighborhood=(Neighbor("The field of work of ada lovelace is", ("mathematics",)),),
    )


def test_all_names_of_an_answer_are_right_and_empty_ones_are_none(tmp_path: Path) -> None:
    (record,) = read_records(written(tmp_path, RECENT))
    assert record.target_true == ()
    assert record.neighborhood == (Neighbor("The father of Leo Arons is", ("A. Arons", "Albert")),)
    assert record.beyond == {"portability": RECENT["portability"]}


@pytest.mark.parametrize(
    ("change", "near"),
    [
        ({"locality_prompt": None, "locality_ground_truth": None}, ()),
        ({"locality_ground_truth": ["a", "b"]}, (Neighbor("n", ("a", "b")),)),
        (
            {"locality_prompt": ["n", "m"], "locality_ground_truth": ["a", ["b", "c"]]},
            (Neighbor("n", ("a",)), Neighbor("m", ("b", "c"))),
        ),
        ({"locality_prompt": ["n", "m"]}, (Neighbor("n"), Neighbor("m"))),
        (
            {"locality_prompt": None, "locality": {"x": {"prompt": "n", "ground_truth": "a"}}},
            (Neighbor("n", ("a",)),),
        ),
        (
            {"locality": {"x": {"prompt": ["n", "m"], "ground_truth": ["a", "b"]}}},
            (Neighbor("n"), Neighbor("n", ("a",)), Neighbor("m", ("b",))),
        ),
    ],
)
def test_localities(change: dict[str, Any], near: tuple[Neighbor, ...], tmp_path: Path) -> None:
    flat = {"prompt": "p", "target_new": "t", "locality_prompt": "n", "rephrase_prompt": None}
    (record,) = read_records(written(tmp_path, flat | change))
    assert (record.neighborhood, record.paraphrases) == (near, ())


def test_answers_are_one_or_several(tmp_path: Path) -> None:
    forms = [
        {**ZSRE, "answers": "Illinois"},
        {**ZSRE, "answers": ["Illinois", "IL"]},
        {**EASYEDIT, "ground_truth": ["Paris"]},
        {**EASYEDIT, "target_new": ["English"]},
    ]
    found = read_records(written(tmp_path, *forms))
    true = [("Illinois",), ("Illinois", "IL"), ("Paris",), ("French",)]
    assert [record.target_true for record in found] == true
    assert {record.target_new for record in found} == {"English"}


def test_the_bundled_set() -> None:
    found = read_edit_set(EDITS_FILE, subject=Subject.NEEDED)
    assert len(found.records) >= 2_000
    assert (found.faults, found.without_target, found.beyond) == ([], 0, {})


@pytest.mark.parametrize(
    ("name", "edits", "without"),
    [("counterfact-val.json", 1_919, 0), ("zsre-train-1k.json", 998, 2)],
)
def test_published_sets(name: str, edits: int, without: int) -> None:
    if not (SHARED / name).exists():
        pytest.skip(f"there is no {name} beside the project")
    found = read_edit_set(SHARED / name, subject=Subject.NEEDED)
    assert (len(found.records), found.without_target, found.faults) == (edits, without, [])
    assert all(len(record.paraphrases) == 1 for record in found.records)
    assert all(near.answers for record in found.records for near in record.neighborhood)
