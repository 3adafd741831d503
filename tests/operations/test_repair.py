"""A log that an earlier release wrote serves as it did, and is repaired when its operator asks."""

import gzip
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.capitals import CAPITALS, phrasings
from tests.conftest import Server, run_server
from tests.processes import errata

# Exported by the release before phrasings had entries of their own: eight capitals in two batches,
# each with two paraphrases.
EARLIER = Path(__file__).parent / "earlier_log.tar.gz"
CHECKSUMS = [
    "dc937b59892604f5a86ac96936cd7ff09e25f18ae6b758e8014a24c7fa039e91",
    "55917934672420eea202c9832c43f9329802347d1804897e9bfe06487092c6c8",
    "79d04183ec95fc579df7da1c2604d1e21d7ad3b93f2e1ccba270d7bd4745ec43",
]
COUNTRIES = list(CAPITALS)[:8]
FIRST_BATCH = COUNTRIES[:4]
# Edits with phrasings on the edge of an entry: rounding decides what these are answered.
ON_EDGE = [1, 3, 4, 5, 7, 8]
REASON = {"reason": "edges"}


def answer(server: Server, prompt: str, **parameters: Any) -> str:
    asked = {"prompt": prompt, "max_new_tokens": 8, **parameters}
    return str(server.http.get("/generate", params=asked).json()["text"])


def missed(server: Server, countries: list[str], **parameters: Any) -> list[str]:
    """The phrasings that are not answered by their edit's target."""
    return [
        prompt
        for country in countries
        for prompt in phrasings(country)
        if not answer(server, prompt, **parameters).startswith(f" {CAPITALS[country]}")
    ]


def checksums(server: Server) -> list[str]:
    return [one["checksum"] for one in server.http.get("/versions").json()["versions"]]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("earlier")
    file = folder / "log.tar"
    file.write_bytes(gzip.decompress(EARLIER.read_bytes()))
    result = errata("log", "import", str(file), ERRATA_DATA_DIR=str(folder / "data"))
    assert (result.exit_code, result.stderr.strip()) == (0, "")
    return folder / "data"


@pytest.fixture
def earlier(imported: Path, tmp_path: Path) -> Iterator[Server]:
    shutil.copytree(imported, tmp_path / "data")
    yield from run_server(tmp_path / "data")


def test_an_earlier_log_serves_as_it_did(
    imported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(imported, tmp_path / "data")
    with caplog.at_level(logging.WARNING):
        for server in run_server(tmp_path / "data"):
            assert checksums(server) == CHECKSUMS
            certain = [c for number, c in enumerate(COUNTRIES, 1) if number not in ON_EDGE]
            assert missed(server, certain) == []
            edit = server.http.get("/edits/1").json()
            assert (edit["report"], edit["strict"], edit["verified"]) == (None, False, True)
    (warning,) = [r.getMessage() for r in caplog.records if "errata log repair" in r.getMessage()]
    assert warning.startswith("6 edits have phrasings on the very edge of their codebook entries")
    assert f"(edits {', '.join(map(str, ON_EDGE))})" in warning
    for server in run_server(tmp_path / "data"):
        server.http.post("/admin/batches/2/rollback", json=REASON)
        server.http.post("/admin/batches/2/restore", json=REASON)
        assert checksums(server) == [*CHECKSUMS, CHECKSUMS[1], CHECKSUMS[2]]


def test_a_repair_is_a_version_that_answers_every_phrasing(earlier: Server) -> None:
    preview = earlier.http.post("/admin/repair?dry_run=true", json=REASON).json()
    assert (preview["version"], checksums(earlier)) == (3, CHECKSUMS)
    made = earlier.http.post("/admin/repair", json={**REASON, "expected_version": 2}).json()
    assert (made["version"], made["kind"], made["checksum"]) == (3, "repair", preview["checksum"])
    assert missed(earlier, COUNTRIES) == []
    again = earlier.http.post("/admin/repair", json=REASON).json()
    assert again == made
    # It stays through what comes after it.
    rolled_back = earlier.http.post("/admin/batches/2/rollback", json=REASON).json()
    assert missed(earlier, FIRST_BATCH) == []
    restored = earlier.http.post("/admin/batches/2/restore", json=REASON).json()
    assert restored["checksum"] == made["checksum"] != rolled_back["checksum"]
    folder = earlier.services.settings.data_dir
    assert errata("log", "verify", ERRATA_DATA_DIR=str(folder)).exit_code == 0
    # And is undone as any other version.
    back = {**REASON, "version": 2}
    assert earlier.http.post("/admin/rollback", json=back).json()["checksum"] == CHECKSUMS[2]


def test_a_start_finds_no_edge_in_a_repaired_log(
    imported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(imported, tmp_path / "data")
    for server in run_server(tmp_path / "data"):
        server.http.post("/admin/repair", json=REASON)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for server in run_server(tmp_path / "data"):
            assert missed(server, COUNTRIES) == []
    assert "errata log repair" not in caplog.text


def test_a_log_of_todays_rule_needs_no_repair(server: Server) -> None:
    edit = {"prompt": "The capital of Italy is", "target_new": "Florence"}
    (queued,) = server.http.post("/edits", json=edit).json()["edits"]
    server.http.get(f"/edits/{queued['id']}", params={"wait": 30})
    answer = server.http.post("/admin/repair", json=REASON)
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert server.http.post("/admin/repair?dry_run=true", json=REASON).json()["changes"] is False
    assert len(checksums(server)) == 2
