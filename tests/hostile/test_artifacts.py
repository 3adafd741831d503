"""Pickles where artifacts lie: none is ever read as one."""

import contextlib
import hashlib
import pickle
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.calls import bearer
from tests.conftest import ADMIN_KEY
from tests.hostile.pickles import Canary
from tests.live import listening
from tests.processes import EURO, errata


@contextlib.contextmanager
def live_client(folder: Path) -> Iterator[httpx.Client]:
    with (
        listening(folder) as live,
        httpx.Client(base_url=live.url, headers=bearer(ADMIN_KEY), timeout=60) as http,
    ):
        yield http


def answer(http: httpx.Client) -> str:
    said = http.post("/generate", json={"prompt": EURO["prompt"], "max_new_tokens": 4})
    return str(said.raise_for_status().json()["text"])


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    return Canary(tmp_path / "sang")


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one edit applied."""
    folder = tmp_path_factory.mktemp("edited") / "data"
    with live_client(folder) as http:
        http.post("/edits", json=EURO).raise_for_status()
        assert http.get("/edits/1?wait=30").json()["status"] == "applied"
    return folder


@pytest.fixture
def data(edited: Path, tmp_path: Path) -> Path:
    return shutil.copytree(edited, tmp_path / "data")


def test_a_canary_sings_where_it_is_read(canary: Canary) -> None:
    pickle.loads(canary.pickle)
    assert canary.sang


def in_place(data: Path, content: bytes) -> None:
    """Under the name of an artifact whose content it is not."""
    (artifact,) = (data / "artifacts").glob("*.safetensors")
    artifact.write_bytes(content)


def named_by_the_log(data: Path, content: bytes) -> None:
    """Under its own hash, by which somebody who holds the database has the log name it."""
    name = hashlib.sha256(content).hexdigest()
    (data / "artifacts" / f"{name}.safetensors").write_bytes(content)
    with contextlib.closing(sqlite3.connect(data / "errata.db")) as database, database:
        database.execute("UPDATE versions SET artifact = ? WHERE version = 1", [name])
        database.execute("UPDATE batches SET artifact = ?", [name])


@pytest.mark.parametrize("placed", [in_place, named_by_the_log])
def test_a_pickle_by_an_artifacts_name(
    placed: Callable[[Path, bytes], None], data: Path, canary: Canary
) -> None:
    placed(data, canary.pickle)
    settings = {"ERRATA_DATA_DIR": str(data), "ERRATA_PORT": "0", "ERRATA_ADMIN_KEY": ADMIN_KEY}
    started = errata("serve", **settings)
    assert (started.exit_code, started.stdout) == (1, "")
    assert re.fullmatch(
        r"error: (version 1 \(batch 1\): )?artifact .*from a backup\.\n", started.stderr
    )
    verified = errata("log", "verify", **settings)
    assert verified.exit_code == 1
    assert "artifact" in verified.stdout
    assert not canary.sang


def test_a_pickle_that_comes_with_a_log(data: Path, canary: Canary, tmp_path: Path) -> None:
    """An export takes along what the log names; the import looks at it, as what it should be."""
    named_by_the_log(data, canary.pickle)
    file, other = tmp_path / "log.tar", tmp_path / "other"
    assert errata("log", "export", str(file), ERRATA_DATA_DIR=str(data)).exit_code == 0
    done = errata("log", "import", str(file), ERRATA_DATA_DIR=str(other))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "can't be read" in done.stderr
    assert not canary.sang
    with listening(other) as live:
        assert live.services.overlays.current.version == 0


def test_pickles_beside_the_artifacts_disturb_nobody(data: Path, canary: Canary) -> None:
    hashed = hashlib.sha256(canary.pickle).hexdigest()
    names = (
        "a.pkl",
        "b.bin",
        "pytorch_model.bin",
        "c.pt",
        f"{hashed}.safetensors",
        f"{hashed}.pkl",
    )
    for folder in (data / "artifacts", data, data / "statistics"):
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / name).write_bytes(canary.pickle)
    with live_client(data) as http:
        assert answer(http) == " euro."
        undone = http.post("/admin/batches/1/rollback", json={"reason": "x"}).json()
        assert undone["version"] == 2
        assert answer(http) == " lev."
        assert http.get("/health/ready").json()["ready"]
    verified = errata("log", "verify", ERRATA_DATA_DIR=str(data))
    assert (verified.exit_code, hashed in verified.stdout) == (0, True)
    assert not canary.sang
