"""A log is replayed by the arithmetic that made it: one that says by which, and one from before."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.editing.arithmetic import Arithmetic
from service.editing.locate import ARITHMETIC, LocateEditor
from tests.conftest import Server, run_server
from tests.operations.test_apply import apply
from tests.operations.test_hook_layers import FEW, NAMES, checksum, fact, generated, rollback

# With a few keys more, C_0 needs no ridge.
SETTINGS = {**FEW, "dynamic_multiplier": 2, "editor": "memit"}


@dataclass(frozen=True)
class OldLog:
    """Three batches, and what the server that made them said."""

    folder: Path
    whole: tuple[str, list[str]]  # the checksum, and what was said
    without_the_second: tuple[str, list[str]]


def said(server: Server) -> tuple[str, list[str]]:
    return checksum(server), [generated(server, name) for name in NAMES[:3]]


def recorded(server: Server, batch: int) -> Any:
    return server.http.get(f"/batches/{batch}").json()["hyperparameters"].get(ARITHMETIC)


@contextmanager
def before_it_was_recorded() -> Iterator[None]:
    honest = LocateEditor.recorded

    def recorded(self: LocateEditor) -> dict[str, Any]:
        return {name: value for name, value in honest(self).items() if name != ARITHMETIC}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("service.operations.editors.CURRENT", Arithmetic.RIDGED)
        patched.setattr(LocateEditor, "recorded", recorded)
        yield


@pytest.fixture(scope="module")
def old_log(tmp_path_factory: pytest.TempPathFactory) -> OldLog:
    folder, kept = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("kept") / "log"
    with before_it_was_recorded():
        for server in run_server(folder, **SETTINGS):
            for name in NAMES[:3]:
                apply(server, fact(name))
            whole = said(server)
        shutil.copytree(folder, kept)
        for server in run_server(folder, **SETTINGS):
            rollback(server, 2)
            without = said(server)
    return OldLog(kept, whole, without)


def test_a_log_from_before_is_served_and_replayed_as_it_was(
    old_log: OldLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(old_log.folder, tmp_path / "log")
    for server in run_server(tmp_path / "log", **SETTINGS):
        assert recorded(server, 3) is None
        assert said(server) == old_log.whole
        with monkeypatch.context() as patched:
            newer = "service.operations.editors._arithmetic_of"
            patched.setattr(newer, lambda _batch: Arithmetic.AS_NEEDED)
            preview = server.http.post(
                "/admin/batches/2/rollback", params={"dry_run": True}, json={"reason": "test"}
            )
        assert preview.json()["checksum"] not in ("", old_log.without_the_second[0])
        rollback(server, 2)
        assert said(server) == old_log.without_the_second
        apply(server, fact("Japan"))
        assert recorded(server, 4) == Arithmetic.AS_NEEDED


def test_a_batch_of_an_arithmetic_to_come_is_not_replayed(
    old_log: OldLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = LocateEditor.recorded
    monkeypatch.setattr(LocateEditor, "recorded", lambda self: {**honest(self), ARITHMETIC: 99})
    shutil.copytree(old_log.folder, tmp_path / "log")
    for server in run_server(tmp_path / "log", **SETTINGS):
        apply(server, fact("Japan"))
        answer = server.http.post("/admin/batches/1/rollback", json={"reason": "test"})
        assert answer.status_code == 409
        assert (
            "batch 4 was made by arithmetic 99, and this server knows those up to 2" in answer.text
        )
