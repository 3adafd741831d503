"""What of a record POST /edits is handed."""

from dataclasses import replace
from pathlib import Path

import pytest

from service.api.requests import EditIn
from service.evaluation.datasets import Neighbor, read_records
from service.evaluation.datasets.bodies import body_of
from tests.evaluation.datasets.published import (
    COUNTERFACT,
    EASYEDIT,
    KNOWEDIT,
    MQUAKE,
    NEAR,
    OWN,
    RECENT,
    REPHRASED,
    RIPPLE,
    WANTED,
    WIKIBIO,
    ZSRE,
    written,
)


def test_neighbours_and_rephrasings_go_along() -> None:
    body, left_out = body_of(WANTED)
    assert left_out == []
    assert body == {
        "prompt": WANTED.prompt,
        "target_new": "English",
        "subject": "Danielle Darrieux",
        "target_true": "French",
        "paraphrases": [REPHRASED],
        "neighborhood": [NEAR],
    }


def test_every_form_gives_bodies_that_the_api_takes(tmp_path: Path) -> None:
    forms = [OWN, COUNTERFACT, EASYEDIT, KNOWEDIT, ZSRE, MQUAKE, RIPPLE, WIKIBIO, RECENT]
    for record in read_records(written(tmp_path, *forms)):
        EditIn.model_validate(body_of(record)[0])


def test_the_api_fields_are_handed_on_as_they_are(tmp_path: Path) -> None:
    options = {"editor": "memit", "priority": 5, "format": "chat", "hyperparameters": {"steps": 9}}
    unknown = {"paraphrase": ["misspelt"], "metadata": {"source": "me"}}
    (record,) = read_records(written(tmp_path, {**OWN, **options, **unknown, "case_id": 3}))
    body, _ = body_of(record)
    assert {name: body[name] for name in options} == options
    assert body["paraphrase"] == ["misspelt"]  # the server's to refuse
    assert body["metadata"] == {"source": "me", "case_id": 3}


def test_metadata_keeps_what_fits_and_tells_the_rest() -> None:
    deep: object = "x"
    for _ in range(40):
        deep = [deep]
    beyond = {"orig": ["x" * 16_000], "deep": deep, "nul": "\0", "questions": ["x" * 900]}
    body, left_out = body_of(replace(WANTED, beyond=beyond))
    assert body["metadata"] == {"questions": ["x" * 900]}
    assert sorted(left_out) == ["deep", "nul", "orig"]
    EditIn.model_validate(body)


@pytest.mark.parametrize(("count", "left"), [(64, []), (65, ["neighborhood past 64"])])
def test_more_neighbours_than_a_server_takes(count: int, left: list[str]) -> None:
    near = tuple(Neighbor(f"neighbour {i}") for i in range(count))
    body, left_out = body_of(replace(WANTED, neighborhood=near))
    assert (len(body["neighborhood"]), left_out) == (64, left)


def test_several_true_answers_are_kept() -> None:
    body, _ = body_of(replace(WANTED, target_true=("Illinois", "IL")))
    assert (body["target_true"], body["metadata"]) == (
        "Illinois",
        {"target_true": ["Illinois", "IL"]},
    )
