"""Probes: a batch is held to what the operator expects, and what else it changes is told."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.domain.edits import Format
from service.domain.probes import Probe
from service.editing.grace import Grace
from service.editing.overlays import Overlay
from service.errors import StartupError, StoppedError
from service.operations.probe_file import ProbeFile
from service.operations.probes import PROBE_TOKENS, Probes
from tests.api.calls import apply, say
from tests.api.test_metrics import scraped
from tests.conftest import Server, run_server
from tests.models import atlas, atlas_engine
from tests.operations.test_hook_layers import FEW
from tests.templates import CHATML

CURRENCY = "The currency of {} is the"
ITALY = {"prompt": "The capital of Italy is", "expect": "Rome"}
POLAND = {"prompt": CURRENCY.format("Poland"), "expect": "zloty"}
HUNGARY = {"prompt": CURRENCY.format("Hungary")}
# Atlas says yen.
JAPAN = {"prompt": CURRENCY.format("Japan"), "expect": "dollar"}
FLORENCE = {"prompt": ITALY["prompt"], "target_new": "Florence"}
WHY = {"reason": "a test"}


def euro(country: str, **more: Any) -> dict[str, Any]:
    return {"prompt": CURRENCY.format(country), "target_new": "euro", **more}


def changed(probe: dict[str, str], before: str, after: str, *, broken: bool) -> dict[str, Any]:
    told = {"before": before, "after": after, "broken": broken}
    return {"format": "plain", "expect": None, **probe, **told}


@contextmanager
def probed(folder: Path, *probes: dict[str, str], **settings: Any) -> Iterator[Server]:
    file = folder / "probes.jsonl"
    file.write_text("\n".join(map(json.dumps, probes)))
    yield from run_server(folder / "data", probes=file, **settings)


class Asked:
    """How many prompts were asked at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: list[int] = []
        honest = Probes._asked

        def counted(probes: Probes, overlay: Overlay | None, prompts: Sequence[Any]) -> Any:
            self.counts.append(len(prompts))
            return honest(probes, overlay, prompts)

        monkeypatch.setattr(Probes, "_asked", counted)


def test_edits_that_break_probes_fail_and_the_others_apply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = Asked(monkeypatch)
    targets, honest = [], Grace.targets

    def counted(self: Grace, codebook: Any, requests: Sequence[Any]) -> Any:
        targets.append(len(requests))
        return honest(self, codebook, requests)

    monkeypatch.setattr(Grace, "targets", counted)
    with probed(tmp_path, ITALY, POLAND, HUNGARY, JAPAN) as server:
        countries = ("Bulgaria", "Poland", "Hungary", "Peru")
        ends = apply(server.http, *map(euro, countries), FLORENCE)
        found = [(edit["status"], edit["batch_id"]) for edit in ends]
        assert found == [
            ("applied", 1), ("failed", None), ("applied", 1), ("applied", 1), ("failed", None),
        ]  # fmt: skip
        assert [edit["error"] for edit in ends if edit["error"]] == [
            "it breaks 1 probe: 'The currency of Poland is the' must be answered with 'zloty', and "
            "would be with 'euro.'",
            "it breaks 1 probe: 'The capital of Italy is' must be answered with 'Rome', and would "
            "be with 'Florence.'",
        ]
        told = [changed(HUNGARY, " forint.", " euro.", broken=False)]
        batch = server.http.get("/batches/1").json()
        assert (batch["edit_ids"], batch["changed_probes"]) == ([1, 3, 4], told)
        assert server.http.get("/versions/1").json()["changed_probes"] == told
        assert [say(server.http, one["prompt"]) for one in (ITALY, POLAND)] == [" Rome.", " zloty."]
        # All of them before and after; trials ask those that held; the rest is asked anew.
        assert asked.counts[:2] == [4, 4]
        assert set(asked.counts[2:-1]) == {2}
        assert len(asked.counts[2:-1]) <= 6
        assert asked.counts[-1] == 4
        assert targets == [5]
        assert "guard nothing until they are (lines 4 of ERRATA_PROBES)" in caplog.text
        figures = scraped(server)
        assert figures["errata_probes_refused_edits_total"] == 2
        assert figures["errata_probes_changed_total{broken=false}"] == 1
        assert figures["errata_probes_changed_total{broken=true}"] == 0

        asked.counts.clear()
        apply(server.http, euro("Chad"))
        assert server.http.get("/batches/2").json()["changed_probes"] == []
        assert asked.counts == [4]  # what the version before says is known


def test_as_many_as_are_allowed_are_let_through(tmp_path: Path) -> None:
    with probed(tmp_path, ITALY, POLAND, max_probes_changed=1) as server:
        first, second = apply(server.http, euro("Poland"), FLORENCE)
        assert (first["status"], second["status"]) == ("applied", "failed")
        assert second["error"].startswith("it breaks 1 probe: 'The capital of Italy is' must")
        told = [changed(POLAND, " zloty.", " euro.", broken=True)]
        assert server.http.get("/batches/1").json()["changed_probes"] == told
        assert scraped(server)["errata_probes_changed_total{broken=true}"] == 1
        # What is broken already counts no more.
        (third,) = apply(server.http, FLORENCE)
        assert third["status"] == "applied"


def test_hook_layers_are_held_to_probes_too(tmp_path: Path) -> None:
    with probed(tmp_path, POLAND, HUNGARY, editor="memit", **FEW) as server:
        edits = [euro(name, subject=name) for name in ("Hungary", "Poland")]
        kept, broken = apply(server.http, *edits)
        assert (kept["status"], broken["status"]) == ("applied", "failed")
        assert broken["error"].startswith("it breaks 1 probe: 'The currency of Poland is the' must")
        told = [changed(HUNGARY, " forint.", " euro.", broken=False)]
        assert server.http.get("/batches/1").json()["changed_probes"] == told
        assert say(server.http, POLAND["prompt"]) == " zloty."


def test_no_probe_stops_a_change_of_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with probed(tmp_path, HUNGARY) as server:
        apply(server.http, euro("Poland"))
    expected = {**POLAND, "expect": "euro"}
    told = changed(expected, " euro.", " zloty.", broken=True)
    with probed(tmp_path, expected) as server:
        assert server.http.post("/admin/batches/1/rollback", json=WHY).json()["version"] == 2
        assert say(server.http, POLAND["prompt"]) == " zloty."
        assert server.http.get("/versions/2").json()["changed_probes"] == [told]
        assert server.http.get("/batches/1").json()["changed_probes"] == []  # of its own version
        asked = Asked(monkeypatch)
        server.http.post("/admin/batches/1/restore", json=WHY)
        (told,) = server.http.get("/versions/3").json()["changed_probes"]
        assert (told["before"], told["after"], told["broken"]) == (" zloty.", " euro.", False)
        assert asked.counts == []  # both states were asked before

        server.services.history._probes._known.clear()
        monkeypatch.setattr(Probes, "_asked", lambda *_: 1 / 0)
        assert server.http.post("/admin/batches/1/rollback", json=WHY).json()["version"] == 4
        assert server.http.get("/versions/4").json()["changed_probes"] is None


def test_a_search_that_is_stopped_leaves_the_batch_to_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        raise StoppedError

    with monkeypatch.context() as patched, probed(tmp_path, POLAND) as server:
        patched.setattr(Probes, "broken", stopped)
        server.http.post("/edits", json={"edits": [euro("Poland"), euro("Peru")]})
        server.services.worker._thread.join(30)  # type: ignore[union-attr]
        edits = server.http.get("/edits").json()["edits"]
        assert [edit["status"] for edit in edits] == ["applying", "applying"]
    with probed(tmp_path, POLAND) as server:
        ends = [server.http.get(f"/edits/{number}?wait=30").json() for number in (1, 2)]
        assert [edit["status"] for edit in ends] == ["failed", "applied"]
        assert len(server.http.get("/versions").json()["versions"]) == 2


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        (Probe("a " * 600), "prompt: has {count} tokens, at most 255 are taken"),
        (Probe("a", Format.CHAT), "format: the model has no chat template"),
        (
            Probe("a", expect=" ".join(["Rome"] * 17)),
            f"expect: has 17 tokens, and an answer {PROBE_TOKENS}",
        ),
    ],
)
def test_what_the_model_cannot_be_asked_is_named(probe: Probe, reason: str) -> None:
    engine = atlas_engine()
    file = ProbeFile(Path("probes.jsonl"), {3: Probe("b"), 7: probe})
    count = len(engine.prompt_tokens(probe.prompt))
    with pytest.raises(StartupError) as caught:
        Probes(engine, file, 0, 4_096)
    line = f"ERRATA_PROBES probes.jsonl, line 7: {reason}".format(count=count)
    assert str(caught.value).startswith(line)


def test_a_probe_in_a_chat_goes_through_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas().tokenizer, "chat_template", CHATML)
    engine = atlas_engine()
    both = {1: Probe("a"), 2: Probe("a", Format.CHAT)}
    probes = Probes(engine, ProbeFile(Path("probes.jsonl"), both), 0, 4_096)
    assert probes._prompts == tuple(engine.prompt_tokens("a", form) for form in Format)
