"""One trial: a server dies at a point of its work, is started again, and has lost nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from service.editing.changes import decode
from service.editing.codebook import Codebook, Rule, Scope
from service.editing.codebook_change import CodebookChange
from service.editing.overlays import BASE_CHECKSUM
from tests.crash.victim import Start, serving
from tests.models import atlas

SHAPE = atlas().shape  # at once: trials run side by side, and models load one at a time

Edits = list[dict[str, Any]]
WHY = {"reason": "a wrong source"}


@dataclass
class Client:
    """Hands requests in, and remembers what was accepted."""

    requests: Sequence[Edits]
    accepted: dict[int, list[int]]  # ids, by request
    rolled_back: bool = False  # the server said so

    def work(self, http: httpx.Client) -> None:
        """All that it wants of the server. Whatever was done before is done again: it must make
        no difference.
        """
        for number, edits in enumerate(self.requests):
            answer = http.post(
                "/edits", json={"edits": edits}, headers={"Idempotency-Key": str(number)}
            )
            assert answer.status_code == 202, answer.text
            ids = [edit["id"] for edit in answer.json()["edits"]]
            assert self.accepted.setdefault(number, ids) == ids, "another answer than before"
        for ids in self.accepted.values():
            for edit in ids:
                settled(http, edit)
        # A batch whose commit was cut off may have used a number up.
        first = http.get("/batches").json()["batches"][0]["id"]
        answer = http.post(f"/admin/batches/{first}/rollback", json=WHY)
        assert answer.status_code == 200, answer.text
        self.rolled_back = True


def settled(http: httpx.Client, edit: int) -> str:
    found = http.get(f"/edits/{edit}", params={"wait": 60}).json()
    assert found["status"] in ("applied", "rolled_back"), found
    return str(found["status"])


def run(folder: Path, url: str | None, requests: Sequence[Edits], point: str, passes: int) -> bool:
    """Whether the server died there. Raises `AssertionError` for anything lost or doubled."""
    client = Client(requests, {})
    died = False
    with serving(Start(folder, url, point, passes)) as http:
        try:
            client.work(http)
        except httpx.TransportError:
            died = True
    was_rolled_back = client.rolled_back
    with serving(Start(folder, url)) as http:
        if was_rolled_back:  # it is still
            assert http.get("/batches").json()["batches"][0]["status"] == "rolled_back"
        client.work(http)
        check(http, folder, [edit for ids in client.accepted.values() for edit in ids])
    return died


def check(http: httpx.Client, folder: Path, accepted: list[int]) -> None:
    """Every edit is in one batch, every batch in one version, and the state is that of a replay."""
    batches = http.get("/batches").json()["batches"]
    held = [edit for batch in batches for edit in batch["edit_ids"]]
    assert sorted(held) == sorted(accepted), "an edit was lost or applied twice"
    everyone = http.get("/edits", params={"limit": 1_000}).json()["edits"]
    assert sorted(edit["id"] for edit in everyone) == sorted(accepted), "an edit was doubled"
    versions = http.get("/versions").json()["versions"]
    kinds = ["base", *["apply"] * len(batches), "rollback"]
    assert [version["kind"] for version in versions] == kinds
    assert http.get("/version").json()["version"] == versions[-1]["version"] == len(batches) + 1
    assert versions[-1]["checksum"] == replayed(folder, batches)


def replayed(folder: Path, batches: Sequence[dict[str, Any]]) -> str:
    """The checksum of a clean replay of the batches that are applied."""
    state: Codebook | None = None
    for batch in batches:
        if batch["status"] == "applied":
            content = (folder / "artifacts" / f"{batch['artifact']}.safetensors").read_bytes()
            change = decode(content, SHAPE)
            assert isinstance(change, CodebookChange)
            if change.targets:
                before = state or Codebook.empty()
                chosen = batch["hyperparameters"]
                rule = Rule(chosen["radius"], Scope(chosen["scope"]), chosen["noise"])
                state = before.insert(change.site, change.targets, rule)
    return BASE_CHECKSUM if state is None else state.checksum
