"""One edit rolled back out of its batch: the state of a log whose batch never held it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.editing.codebook import Codebook
from service.editing.locate import LocateEditor
from service.editing.overlays import checksum_of
from tests.conftest import Server, run_server
from tests.operations.reference_replay import replayed
from tests.operations.test_apply import apply
from tests.operations.test_history import NAMES, checksum, currency, rollback

STRONG = {"clamp_norm_factor": 4.0, "steps": 40}  # enough to overrule an edit
FEW = {"dynamic_multiplier": 1, "max_perplexity_ratio": 100.0}
RADIUS = 3.0
BULGARIA = "The currency of Bulgaria is the"
PERU = "The currency of Peru is the"
QUESTION = "Q: What is the currency of Bulgaria? A: the"


def near(prompt: str, target: str) -> dict[str, Any]:
    """Asks for the rule under which entries depend on each other most, with a radius in which
    they meet.
    """
    given = {"radius": RADIUS, "scope": "paper", "noise": 0.0}
    return {"prompt": prompt, "target_new": target, "hyperparameters": given}


# Each batch builds on those before it.
BATCHES = [
    [near(BULGARIA, "euro"), near("The currency of Romania is the", "euro")],
    # Widens the first's entry.
    [near("The currency of Bulgaria is now the", "euro"), near(PERU, "yen")],
    # Splits it; widens the second's.
    [
        near("The currency of Bulgaria is called the", "yen"),
        near("Romania's currency is the", "euro"),
    ],
    # Widens it again; is true already.
    [near("Bulgaria's currency is the", "euro"), near(PERU, "yen")],
    # Splits it again; supersedes the first edit.
    [near(QUESTION, "dollar"), near(BULGARIA, "yen")],
]
EDITS = range(1, 11)
REPEATED = 8  # says what edit 4 does, and may find its value good as it is
ALL = range(1, 6)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Versions 1 to 5 hold `BATCHES`; tests leave the state of version 5."""
    for server in run_server(tmp_path_factory.mktemp("built")):
        for batch in BATCHES:
            apply(server, *batch)
        yield server


@pytest.fixture
def five(built: Server) -> Iterator[Server]:
    yield built
    built.http.post("/admin/rollback", json={"version": 5, "reason": "as it was"})


def post(server: Server, path: str, **asked: Any) -> dict[str, Any]:
    answer = server.http.post(f"/admin/{path}", json={"reason": "test", **asked})
    assert answer.status_code == 200, answer.text
    version: dict[str, Any] = answer.json()
    return version


def undo(server: Server, edit: int) -> dict[str, Any]:
    return post(server, f"edits/{edit}/rollback")


def says(server: Server, prompt: str = BULGARIA) -> str:
    text: str = server.http.post("/generate", json={"prompt": prompt}).json()["text"]
    return text


def statuses(server: Server) -> list[str]:
    return [edit["status"] for edit in server.http.get("/edits").json()["edits"]]


def versions(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.http.get("/versions").json()["versions"]
    return found


def test_the_batches_build_on_each_other(five: Server) -> None:
    """What the tests below undo: entries that were widened, split and overwritten."""
    state = five.services.overlays.current.state
    assert isinstance(state, Codebook)
    assert float(state.radii.min()) < RADIUS < float(state.radii.max())
    assert 8 in state.owners
    assert 4 not in state.owners
    assert says(five) == " yen."


@pytest.mark.parametrize("edit", EDITS)
def test_the_state_is_that_of_a_log_that_never_held_it(edit: int, five: Server) -> None:
    whole = checksum(five)
    last = len(versions(five)) - 1

    version = undo(five, edit)

    assert (version["version"], version["kind"]) == (last + 1, "rollback")
    assert (version["batch_ids"], version["edit_ids"]) == ([], [edit])
    assert version["checksum"] == replayed(five, ALL, {edit})
    assert edit == REPEATED or version["checksum"] != whole
    assert statuses(five) == ["rolled_back" if one == edit else "applied" for one in EDITS]
    batches = five.http.get("/batches").json()["batches"]
    assert {batch["status"] for batch in batches} == {"applied"}


def test_edits_of_several_batches_go_one_by_one(five: Server) -> None:
    undo(five, 1)
    undo(five, 4)
    undo(five, 6)

    assert checksum(five) == replayed(five, ALL, {1, 4, 6})
    rollback(five, 3)
    assert checksum(five) == replayed(five, (1, 2, 4, 5), {1, 4})


@pytest.mark.parametrize("batch", ALL)
def test_a_batch_that_others_built_on_leaves_a_log_without_it(batch: int, five: Server) -> None:
    rollback(five, batch)

    assert checksum(five) == replayed(five, [one for one in ALL if one != batch], ())


def test_the_later_answer_gone_the_earlier_is_back(five: Server) -> None:
    linked = [edit["supersedes"] for edit in five.http.get("/edits").json()["edits"]]
    assert linked == [None] * 9 + [1]
    undo(five, 10)
    assert says(five) == " euro."


def test_the_last_edit_takes_its_batch_along(five: Server) -> None:
    undo(five, 3)
    version = undo(five, 4)

    assert (version["batch_ids"], version["edit_ids"]) == ([2], [4])
    assert five.http.get("/batches/2").json()["status"] == "rolled_back"
    assert version["checksum"] == replayed(five, (1, 3, 4, 5), ())
    assert rollback(five, 2) == version["version"]  # it is made already
    assert undo(five, 4) == version
    assert undo(five, 3)["version"] == version["version"] - 1


def test_a_restored_batch_is_whole(five: Server) -> None:
    undo(five, 3)
    rollback(five, 2)
    assert statuses(five)[2:4] == ["rolled_back"] * 2

    post(five, "batches/2/restore")

    assert statuses(five) == ["applied"] * 10
    assert checksum(five) == replayed(five, (1, 3, 4, 5, 2), ())


def test_an_active_batch_is_made_whole_in_its_place(five: Server) -> None:
    whole = checksum(five)
    undo(five, 3)

    version = post(five, "batches/2/restore")

    assert (version["kind"], version["batch_ids"], version["edit_ids"]) == ("restore", [], [3])
    assert version["checksum"] == whole
    assert statuses(five) == ["applied"] * 10
    assert post(five, "batches/2/restore") == version


def test_a_batch_without_an_edit_is_found_again(five: Server) -> None:
    """Rolling back to a version brings back what it lacked, in the batch that lacked it."""
    lacking = undo(five, 3)
    post(five, "batches/2/restore")
    undo(five, 6)

    back = post(five, "rollback", version=lacking["version"])

    assert (back["checksum"], back["edit_ids"]) == (lacking["checksum"], [3, 6])
    assert statuses(five)[2:6] == ["rolled_back", "applied", "applied", "applied"]
    rollback(five, 4)
    assert checksum(five) == replayed(five, (1, 2, 3, 5), {3})


def test_a_restart_serves_the_same_state(tmp_path: Path) -> None:
    for server in run_server(tmp_path):
        apply(server, *map(currency, NAMES))
        apply(server, currency("Poland"))
        undo(server, 2)
        before = checksum(server)
    for server in run_server(tmp_path):
        current = server.services.overlays.current
        assert (current.version, checksum_of(current.state)) == (3, before)
        undo(server, 1)
        assert checksum(server) == replayed(server, (1, 2), {1, 2})


@pytest.mark.parametrize("path", ["edits/2/rollback", "batches/1/rollback"])
def test_fifty_calls_at_once_have_one_effect(path: str, server: Server) -> None:
    apply(server, *map(currency, NAMES))
    apply(server, currency("Poland"))
    with ThreadPoolExecutor(50) as pool:
        made = list(pool.map(lambda _: post(server, path), range(50)))
    assert made == [made[0]] * 50
    assert [version["version"] for version in versions(server)] == [0, 1, 2, 3]
    without: tuple[tuple[int, ...], set[int]] = ((1, 2), {2}) if "edits" in path else ((2,), set())
    assert checksum(server) == replayed(server, *without)


@pytest.mark.parametrize("editor", ["coachhook", "memit", "rome"])
def test_hook_layers(editor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fact(name: str, target: str = "euro") -> dict[str, Any]:
        return {**currency(name, target), "subject": name}

    for server in run_server(tmp_path, editor=editor, **FEW):
        apply(server, *map(fact, NAMES[:3]))
        first = says(server)
        (again,) = apply(server, {**fact("Bulgaria", "yen"), "hyperparameters": STRONG})
        assert again["supersedes"] == 1
        yen, whole = says(server), checksum(server)
        assert yen != first
        monkeypatch.setattr(LocateEditor, "targets", None)  # no gradient step from here on

        undo(server, 2)
        assert checksum(server) == replayed(server, (1, 2), {2})
        assert checksum(server) != whole
        undo(server, 4)  # the only one of its batch
        assert checksum(server) == replayed(server, (1,), {2})
        post(server, "batches/1/restore")
        assert (checksum(server), says(server)) == (versions(server)[1]["checksum"], first)
        post(server, "batches/2/restore")
        assert (checksum(server), says(server)) == (whole, yen)
        rollback(server, 1)
        assert checksum(server) == replayed(server, (2,), ())
