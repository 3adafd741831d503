"""Every record is judged when it is read: what is wrong names its record and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.evaluation.datasets import DatasetError, Fault, Subject, read_edit_set, read_records
from service.evaluation.datasets.record import Place
from tests.evaluation.datasets.published import (
    COUNTERFACT,
    EASYEDIT,
    KNOWEDIT,
    MQUAKE,
    OWN,
    RIPPLE,
    WANTED,
    ZSRE,
    written,
)

REWRITE = COUNTERFACT["requested_rewrite"]
TEXT = "Input should be a valid string"
BLANK = "must hold more than white space"


@pytest.mark.parametrize(
    ("form", "change", "reason"),
    [
        (OWN, {"prompt": ...}, "prompt: Field required"),
        (OWN, {"prompt": 7}, f"prompt: {TEXT}"),
        (OWN, {"prompt": " "}, f"prompt: {BLANK}"),
        (OWN, {"prompt": "a\0"}, "prompt: must not hold NUL characters"),
        (OWN, {"prompt": "a" * 65_537}, "prompt: String should have at most 65536 characters"),
        (OWN, {"target_new": None}, f"target_new: {TEXT}"),
        (OWN, {"paraphrases": None}, "paraphrases: Input should be a valid list"),
        (OWN, {"paraphrases": "x"}, "paraphrases: Input should be a valid list"),
        (OWN, {"paraphrases": ["x", None]}, f"paraphrases[1]: {TEXT}"),
        (OWN, {"paraphrases": ["x"] * 33}, "paraphrases: List should have at most 32 items"),
        (OWN, {"neighborhood": [{"answer": "x"}]}, "neighborhood[0].prompt: Field required"),
        (OWN, {"neighborhood": [7]}, "neighborhood[0]: must be a JSON object"),
        (OWN, {"metadata": [1]}, "metadata: must be a JSON object"),
        (OWN, {"metadata": {"a": "x" * 16_384}}, "metadata: has 16393 bytes as JSON"),
        (EASYEDIT, {"rephrase_prompt": ["x", None]}, f"rephrase_prompt[1]: {TEXT}"),
        (EASYEDIT, {"rephrase_prompt": ""}, f"rephrase_prompt[0]: {BLANK}"),
        (EASYEDIT, {"ground_truth": 1985}, f"ground_truth[0]: {TEXT}"),
        (EASYEDIT, {"ground_truth": [["a", None]]}, f"ground_truth[1]: {TEXT}"),
        (EASYEDIT, {"ground_truth": {"a": 1}}, f"ground_truth[0]: {TEXT}"),
        (EASYEDIT, {"target_new": ["a", "b"]}, f"target_new: {TEXT}"),
        (EASYEDIT, {"locality_prompt": [["a"]]}, f"locality_prompt[0]: {TEXT}"),
        (
            EASYEDIT,
            {"locality_prompt": ["a", "b"]},
            "locality_ground_truth: must be a list of 2 answers, as many as there are prompts",
        ),
        (KNOWEDIT, {"locality": []}, "locality: must be a JSON object"),
        (KNOWEDIT, {"locality": {"x": ["a"]}}, "locality.x[0]: must be a JSON object"),
        (KNOWEDIT, {"locality": {"x": [{}]}}, f"locality.x[0].prompt: {TEXT}"),
        (ZSRE, {"alt": ...}, "alt: Field required"),
        (ZSRE, {"src": ["x"]}, f"src: {TEXT}"),
        (ZSRE, {"subject": 7}, f"subject: {TEXT}"),
        (ZSRE, {"loc": ""}, f"loc: {BLANK}"),
        (
            COUNTERFACT,
            {"requested_rewrite": {**REWRITE, "target_new": "English"}},
            "requested_rewrite.target_new: must be a JSON object",
        ),
        (
            COUNTERFACT,
            {"requested_rewrite": {**REWRITE, "target_true": {"id": "Q1"}}},
            "requested_rewrite.target_true.str: Field required",
        ),
        (COUNTERFACT, {"requested_rewrite": None}, "requested_rewrite: must be a JSON object"),
        (COUNTERFACT, {"neighborhood_prompts": [1]}, f"neighborhood_prompts[0]: {TEXT}"),
        (MQUAKE, {"requested_rewrite": []}, "requested_rewrite: List should have at least 1 item"),
        (MQUAKE, {"requested_rewrite": [7]}, "requested_rewrite[0]: must be a JSON object"),
        (RIPPLE, {"edit": {"prompt": "Syria."}}, "edit.prompt: does not say where its target"),
        (RIPPLE, {"edit": {}}, "edit.prompt: Field required"),
        (
            RIPPLE,
            {"Forgetfulness": [{"test_queries": [{"answers": None}]}]},
            "Forgetfulness[0].test_queries[0].prompt: Field required; "
            "Forgetfulness[0].test_queries[0].answers: Input should be a valid list",
        ),
    ],
)
def test_a_bad_field_is_named(
    form: dict[str, Any], change: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    bad = {name: value for name, value in {**form, **change}.items() if value is not ...}
    found = read_edit_set(written(tmp_path, form, bad, form))
    (fault,) = found.faults
    assert fault.reason.startswith(reason)
    assert len(found.records) == 2 * len(read_records(written(tmp_path, form)))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (7, "must be a JSON object"),
        ([OWN], "must be a JSON object"),
        ({"a": 1}, "has none of the fields requested_rewrite, edit, src, labels, ground_truth"),
    ],
)
def test_what_is_no_record(record: object, reason: str, tmp_path: Path) -> None:
    (fault,) = read_edit_set(written(tmp_path, record)).faults
    assert fault.reason.startswith(reason)


def test_a_fault_names_file_line_and_record(tmp_path: Path) -> None:
    file = tmp_path / "set.jsonl"
    bad = {**ZSRE, "case_id": 12, "src": 1, "alt": 2, "rephrase": 3, "loc": 4, "loc_ans": 5}
    file.write_text(f"{json.dumps(ZSRE)}\n\n{json.dumps(bad)}\n")
    (fault,) = read_edit_set(file).faults
    assert str(fault) == (
        f"{file}, record 2 (line 3), case_id 12: "
        f"src: {TEXT}; alt: {TEXT}; rephrase[0]: {TEXT}; and 2 more"
    )
    with pytest.raises(DatasetError, match=r"record 2 \(line 3\), case_id 12: src"):
        read_records(file)


@pytest.mark.parametrize("empty", ["", "  "])
def test_edits_without_a_new_target_are_counted(empty: str, tmp_path: Path) -> None:
    found = read_edit_set(written(tmp_path, {**ZSRE, "alt": empty}, ZSRE, ZSRE))
    assert (found.records, found.without_target) == ([WANTED, WANTED], 1)


def test_what_follows_the_limit_is_not_judged(tmp_path: Path) -> None:
    found = read_edit_set(written(tmp_path, OWN, OWN, 7), limit=2)
    assert (len(found.records), found.faults) == (2, [])
    assert len(read_records(written(tmp_path, MQUAKE), limit=1)) == 1


@pytest.mark.parametrize("form", [OWN, ZSRE, EASYEDIT])
def test_a_subject_must_be_a_span_where_one_is_needed(form: dict[str, Any], tmp_path: Path) -> None:
    wrong = {**form, "subject": "danielle"}
    without = {name: value for name, value in form.items() if name != "subject"}
    file = written(tmp_path, wrong, without)
    no_span = Fault(Place(file, 1, 1), None, "subject: 'danielle' is not a span of the prompt")
    missing = Fault(Place(file, 2, 1), None, "subject: is missing, and the editor goes by it")
    assert read_edit_set(file, subject=Subject.NEEDED).faults == [no_span, missing]
    assert read_edit_set(file, subject=Subject.SPAN).faults == [no_span]
    assert [one.span for one in read_edit_set(file, subject=Subject.ANY).records] == [None, None]


def test_questions_beyond_an_edit_are_counted_by_name(tmp_path: Path) -> None:
    more = {"portability": {"Reasoning": []}, "case_id": 1, "cond": "a >> b"}
    found = read_edit_set(written(tmp_path, {**EASYEDIT, **more}, EASYEDIT))
    assert found.beyond == {"portability": 1}
    assert found.records[0].beyond == more


@pytest.mark.parametrize("content", ["", "[]", '{"edits": []}'])
def test_a_file_without_edits(content: str, tmp_path: Path) -> None:
    file = tmp_path / "set"
    file.write_text(content)
    with pytest.raises(DatasetError, match="holds no edits"):
        read_edit_set(file)
