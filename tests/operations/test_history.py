"""Rollback and restore give the state of a history that never was otherwise."""

from pathlib import Path
from typing import Any

from service.editing.overlays import checksum_of
from tests.conftest import Server, run_server
from tests.operations.test_apply import apply

LONG = {"target_new": "euro", "hyperparameters": {"steps": 60, "stop_loss": 0.0}}
NAMES = ("Bulgaria", "Peru", "Chad", "Japan")


def currency(name: str, target: str = "euro") -> dict[str, Any]:
    return {"prompt": f"The currency of {name} is the", "target_new": target}


def answers(server: Server) -> list[str]:
    prompts = [currency(name)["prompt"] for name in NAMES]
    return [server.http.post("/generate", json={"prompt": p}).json()["text"] for p in prompts]


def checksum(server: Server) -> str:
    text: str = server.http.get("/versions").json()["versions"][-1]["checksum"]
    return text


def rollback(server: Server, batch: int) -> int:
    answer = server.http.post(f"/admin/batches/{batch}/rollback", json={"reason": "test"})
    assert answer.status_code == 200, answer.text
    version: int = answer.json()["version"]
    return version


def test_the_last_batch_gives_the_checksum_before_it(server: Server) -> None:
    apply(server, currency("Bulgaria"))
    before = checksum(server)
    apply(server, currency("Peru"))
    assert rollback(server, 2) == 3
    assert checksum(server) == before


def test_a_batch_in_the_middle_leaves_what_a_history_without_it_has(tmp_path: Path) -> None:
    """Later batches built on it: one corrects its fact again, one widens its entry."""
    batches = [
        [currency("Bulgaria")],
        [currency("Peru", "yen"), currency("Chad", "yen")],
        [currency("Peru", "dollar"), currency("Japan")],
        [currency("Chad", "yen")],
    ]
    for server in run_server(tmp_path / "whole"):
        for batch in batches:
            apply(server, *batch)
        whole = checksum(server)
        rollback(server, 2)
        rolled_back = checksum(server), answers(server)
        server.http.post("/admin/rollback", json={"version": 4, "reason": "as it was"})
        assert checksum(server) == whole
    for server in run_server(tmp_path / "without"):
        for batch in (batches[0], batches[2], batches[3]):
            apply(server, *batch)
        # Values are optimised anew here, from other starting points: what is said is the same.
        assert answers(server) == rolled_back[1]


def test_a_restored_batch_goes_to_the_end(server: Server) -> None:
    for name in NAMES[:3]:
        apply(server, currency(name))
    whole, said = checksum(server), answers(server)
    rollback(server, 2)
    assert answers(server)[1] != said[1]
    server.http.post("/admin/batches/2/restore", json={"reason": "was right"})
    assert answers(server) == said
    assert checksum(server) != whole  # the order of entries differs
    edit = server.http.get("/edits/2").json()
    assert (edit["status"], edit["version"]) == ("applied", 2)


def test_everything_rolled_back_is_the_base_model_bit_for_bit(server: Server) -> None:
    for name in NAMES:
        apply(server, currency(name))
    server.http.post("/admin/rollback", json={"version": 0, "reason": "start afresh"})
    body = {"prompt": currency("Peru")["prompt"], "targets": ["euro", "sol", "Port Moresby"]}
    now = server.http.post("/score", json=body).json()["scores"]
    base = server.http.post("/score", json={**body, "version": 0}).json()["scores"]
    assert now == base
    edits = server.http.get("/edits").json()["edits"]
    assert {edit["status"] for edit in edits} == {"rolled_back"}


def test_a_target_made_true_by_a_rolled_back_batch_stands_by_itself(server: Server) -> None:
    """The second edit was true already, thanks to the first; without the first it must hold."""
    apply(server, currency("Bulgaria"))
    (again,) = apply(server, currency("Bulgaria"))
    assert again["note"] == "already true"
    rollback(server, 1)
    assert answers(server)[0] == " euro."


def test_a_restart_serves_the_same_state(tmp_path: Path) -> None:
    for server in run_server(tmp_path):
        for name in NAMES[:3]:
            apply(server, currency(name))
        rollback(server, 2)
        before = checksum(server), answers(server)
    for server in run_server(tmp_path):
        assert (checksum(server), answers(server)) == before
        current = server.services.overlays.current
        assert (current.version, checksum_of(current.state)) == (4, before[0])


def test_history_is_served_beside_the_present(server: Server) -> None:
    for name in NAMES:
        apply(server, currency(name))
    for version in range(len(NAMES) + 1):
        body = {"prompt": currency(NAMES[2])["prompt"], "version": version}
        answer = server.http.post("/generate", json=body).json()
        assert (answer["version"], answer["text"] == " euro.") == (version, version >= 3)


def test_a_rollback_goes_before_what_still_waits(tmp_path: Path) -> None:
    """Of a long queue: it waits for the batch at hand, not for all."""
    for server in run_server(tmp_path, max_batch=1, linger_ms=0):
        apply(server, currency("Bulgaria"))
        prompts = [{**LONG, "prompt": f"Number {n} of them is the"} for n in range(12)]
        last = server.http.post("/edits", json={"edits": prompts}).json()["edits"][-1]["id"]
        rollback(server, 1)
        assert server.http.get(f"/edits/{last}").json()["status"] == "queued"
        ended = server.http.get(f"/edits/{last}", params={"wait": 60}).json()
        assert ended["status"] in ("applied", "failed")
