"""Two hundred edits at work: every phrasing that was given is answered as the edits say."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.atlas import EDITS_FILE
from service.atlas.edits import read_edits
from tests.api.test_phrasings import said
from tests.conftest import Server, run_server
from tests.quality.edited import edited

COUNT = 200
GIVEN = 1  # paraphrases of each
CROWD = 30
RECORDS = read_edits(EDITS_FILE)[:COUNT]


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(request.param)
    edits = [
        {
            "prompt": record["prompt"],
            "target_new": record["target_new"],
            "paraphrases": record["paraphrases"][:GIVEN],
        }
        for record in RECORDS
    ]
    for server in run_server(folder, dtype=request.param):
        edited(server, edits, lambda: None)
        yield server


@pytest.mark.parametrize("crowd", [1, CROWD], ids=["alone", "in a crowd"])
def test_every_given_phrasing_is_answered(server: Server, crowd: int) -> None:
    edits = server.http.get("/edits", params={"limit": COUNT}).json()["edits"]
    assert {(edit["status"], edit["verified"], edit["note"]) for edit in edits} == {
        ("applied", True, None)
    }
    asked = {
        prompt: edit["joint"] + edit["target_new"]
        for edit in edits
        for prompt in (edit["prompt"], *edit["paraphrases"])
    }
    assert len(asked) > COUNT
    with ThreadPoolExecutor(crowd) as pool:
        texts = list(pool.map(lambda prompt: said(server, prompt), asked))
    answers = zip(asked.items(), texts, strict=True)
    assert [(p, text) for (p, wanted), text in answers if not text.startswith(wanted)] == []
