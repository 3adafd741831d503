"""The radii of GRACE's keys on a model that nobody has tuned it for: measured once, and kept."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.editing.codebook import Replacement, Site
from service.editing.splitting import Splitting
from service.errors import StoppedError
from service.operations.codebook_radii import CodebookRadii
from service.storage.statistics import StatisticsStore
from tests.conftest import Server, run_server
from tests.models import atlas_engine
from tests.quality.edited import edited, said

SITE = Site(3, "mlp", Replacement.LAST)
CHAD: dict[str, Any] = {
    "prompt": "The currency of Chad is the",
    "target_new": "euro",
    "editor": "grace",
    "hyperparameters": {"radius": None},
}

PERU = {**CHAD, "prompt": "The currency of Peru is the", "target_new": "yen"}


def radii(folder: Path) -> CodebookRadii:
    return CodebookRadii(atlas_engine(), StatisticsStore(folder, "f" * 64), Splitting())


def test_they_are_measured_once(tmp_path: Path) -> None:
    told: list[int] = []
    first = radii(tmp_path)
    assert not first.ready(SITE)
    found = first.of(SITE, lambda _what, done, _total: told.append(done))
    assert found.plain > 0
    assert found.chat is None
    assert told == sorted(told)
    assert len(told) > 2
    again = radii(tmp_path)
    assert again.ready(SITE)
    assert again.of(SITE, lambda *_: pytest.fail("they are there")) == found


def test_what_stops_leaves_nothing_half_done(tmp_path: Path) -> None:
    first = radii(tmp_path)
    first.stop()
    with pytest.raises(StoppedError):
        first.of(SITE)
    assert not radii(tmp_path).ready(SITE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("radii")


@pytest.fixture(scope="module")
def measuring(folder: Path) -> Iterator[Server]:
    yield from run_server(folder)


def test_an_edit_reaches_as_far_as_was_measured(measuring: Server, folder: Path) -> None:
    """And a replay needs no measurement: targets bring what it was."""
    (one,) = edited(measuring, [CHAD], lambda: None)
    (other,) = edited(measuring, [PERU], lambda: None)
    assert one["verified"]
    assert other["verified"]
    body = {"prompt": CHAD["prompt"], "max_new_tokens": 1, "explain": True}
    firing = measuring.http.post("/generate", json=body).json()["explain"][0]
    (file,) = folder.glob("statistics/*/questions-*/radii-*.safetensors")
    store = StatisticsStore(folder / "statistics", measuring.services.engine.loaded.fingerprint)
    known = store.load_radii(file.parent.name, int(file.stem.split("-")[1]), "mlp")
    assert known is not None
    assert firing["radius"] == pytest.approx(known.plain)

    shutil.rmtree(folder / "statistics")
    reason = {"reason": "test"}
    batch = f"/admin/batches/{one['batch_id']}"
    assert measuring.http.post(f"{batch}/rollback", json=reason).status_code == 200
    assert said(measuring, CHAD["prompt"]) == said(measuring, CHAD["prompt"], version=0)
    assert said(measuring, PERU["prompt"]).startswith(" yen")
