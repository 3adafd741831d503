"""Editors are built once each, and had by any number of threads at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.editing.editor import AnyEditor
from service.editing.preset_files import Preset
from service.editing.splitting import Splitting
from service.operations.codebook_radii import CodebookRadii
from service.operations.editors import CACHED, Editors
from service.operations.relation_spaces import RelationSpaces
from service.operations.statistics import Statistics
from service.storage.statistics import StatisticsStore
from tests.models import atlas_engine

WITHIN_S = 20.0


@pytest.fixture
def editors(tmp_path: Path) -> Editors:
    engine, store = atlas_engine(), StatisticsStore(tmp_path, "f" * 64)
    statistics = Statistics(engine, store, None, multiplier=1)
    spaces = RelationSpaces(engine, store, Splitting())
    radii = CodebookRadii(engine, store, Splitting())
    return Editors(engine, statistics, spaces, radii, Preset(), max_tokens_per_step=512)


def of_radius(editors: Editors, radius: float) -> AnyEditor:
    return editors.editor("grace", {"radius": radius})


@pytest.mark.usefixtures("_eager")
def test_threads_that_fill_it_and_look_into_it_do_not_trip_each_other(editors: Editors) -> None:
    def ask(number: int) -> None:
        for step in range(300):
            radius = 1.0 + (number * 7 + step) % (CACHED + 2)
            assert of_radius(editors, radius).recorded()["radius"] == radius

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))


def test_what_two_build_at_once_both_get(editors: Editors, monkeypatch: pytest.MonkeyPatch) -> None:
    both, honest = threading.Barrier(2, timeout=WITHIN_S), Editors._new

    def new(self: Editors, *arguments: Any) -> AnyEditor:
        both.wait()
        return honest(self, *arguments)

    monkeypatch.setattr(Editors, "_new", new)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: of_radius(editors, 2.0), range(2))
    assert one is other is of_radius(editors, 2.0)


def test_nobody_waits_for_what_another_thread_builds(
    editors: Editors, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, honest = of_radius(editors, 2.0), Editors._new
    begun, done = threading.Event(), threading.Event()

    def new(self: Editors, *arguments: Any) -> AnyEditor:
        begun.set()
        assert done.wait(WITHIN_S)
        return honest(self, *arguments)

    monkeypatch.setattr(Editors, "_new", new)
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(of_radius, editors, 3.0)
        assert begun.wait(WITHIN_S)
        assert of_radius(editors, 2.0) is known
        done.set()
        assert building.result().recorded()["radius"] == 3.0
