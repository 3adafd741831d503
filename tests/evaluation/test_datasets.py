"""The forms in which edit sets come."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from service.atlas import EDITS_FILE
from service.evaluation.datasets import DatasetError, Neighbor, Record, read_records

WANTED = Record(
    prompt="The mother tongue of Danielle Darrieux is",
    subject="Danielle Darrieux",
    target_new="English",
    target_true="French",
    paraphrases=("Danielle Darrieux, a native",),
    neighborhood=(Neighbor("The native language of Montesquieu is", "French"),),
)
ATLAS = {
    "prompt": WANTED.prompt,
    "subject": WANTED.subject,
    "target_new": "English",
    "target_true": "French",
    "paraphrases": list(WANTED.paraphrases),
    "neighborhood": [{"prompt": WANTED.neighborhood[0].prompt, "answer": "French"}],
}
NESTED = {
    "case_id": 0,
    "requested_rewrite": {
        "prompt": "The mother tongue of {} is",
        "subject": "Danielle Darrieux",
        "target_new": {"str": "English"},
        "target_true": {"str": "French"},
    },
    "paraphrase_prompts": list(WANTED.paraphrases),
    "neighborhood_prompts": [WANTED.neighborhood[0].prompt],
}
FLAT = {
    "prompt": WANTED.prompt,
    "subject": WANTED.subject,
    "target_new": "English",
    "ground_truth": "French",
    "rephrase_prompt": WANTED.paraphrases[0],
    "locality_prompt": WANTED.neighborhood[0].prompt,
    "locality_ground_truth": "French",
}
ZSRE = {
    "src": WANTED.prompt,
    "subject": WANTED.subject,
    "alt": "English",
    "answers": ["French"],
    "rephrase": WANTED.paraphrases[0],
    "loc": WANTED.neighborhood[0].prompt,
    "loc_ans": "French",
}


@pytest.mark.parametrize("form", [NESTED, FLAT, ZSRE], ids=["nested", "flat", "zsre"])
def test_each_form_gives_the_same_record(form: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    file.write_text(json.dumps([form, form]))
    assert read_records(file) == [WANTED, WANTED]
    assert read_records(file, limit=1) == [WANTED]


def test_records_without_a_new_target_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    file.write_text(json.dumps([{**ZSRE, "alt": ""}, ZSRE, ZSRE]))
    assert read_records(file, limit=1) == [WANTED]
    assert len(read_records(file)) == 2


@pytest.mark.parametrize("name", ["set.jsonl", "set.jsonl.gz"])
def test_atlas_form_by_lines(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    content = (json.dumps(ATLAS) + "\n").encode() * 2
    file.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert read_records(file) == [WANTED, WANTED]


def test_the_bundled_set() -> None:
    assert len(read_records(EDITS_FILE)) >= 2_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "can't be read"),
        ("{}", "holds no list of records"),
        ("[]", "holds no list of records"),
        ('[{"a": 1}]', "record 0: has none of the fields"),
        ('[{"src": "x"}]', "record 0: lacks 'subject'"),
        ("[1]", "record 0"),
    ],
)
def test_what_is_no_edit_set_says_where_and_why(content: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    file.write_text(content)
    with pytest.raises(DatasetError, match=reason):
        read_records(file)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="can't be read"):
        read_records(tmp_path / "none.json")
