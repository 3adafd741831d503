"""Serving and editing take turns at the model."""

import threading
import time
from collections.abc import Callable

import pytest
import torch

from service.domain import pulse
from service.editing.grace import Grace, GraceHyperparameters
from service.engine.engine import Engine
from service.engine.running import Wanted
from service.engine.turns import CREDIT_S, Party, Turn, Turns
from service.errors import StoppedError
from tests.engine.asking import say
from tests.engine.overlays import loaded, tokens
from tests.phrased import request_of

SLICE_S = 0.002


def turns(share: float = 0.5) -> tuple[Turn, Turn]:
    both = Turns(share, lambda: None)
    return Turn(both, Party.SERVING), Turn(both, Party.EDITING)


def test_interrupted_editing_ends_at_its_next_pause_and_serving_does_not() -> None:
    both = Turns(0.5, lambda: None)
    serving, editing = Turn(both, Party.SERVING), Turn(both, Party.EDITING)
    with editing.taken():
        editing.pause()
        both.interrupt()
        with pytest.raises(StoppedError):
            editing.pause()
    with serving.taken():
        serving.pause()


def side_by_side(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def shares(serving: Turn, editing: Turn, seconds: float) -> dict[str, float]:
    """How long each had the model, of two that always want it."""
    had = {"serving": 0.0, "editing": 0.0}
    end = time.monotonic() + seconds

    def work(name: str) -> None:
        begun = time.monotonic()
        time.sleep(SLICE_S)
        had[name] += time.monotonic() - begun

    def serve() -> None:
        while time.monotonic() < end:
            with serving.taken():
                work("serving")
            time.sleep(SLICE_S / 4)  # it sees to its answers

    def edit() -> None:
        with editing.taken():
            while time.monotonic() < end:
                work("editing")
                editing.pause()

    side_by_side(serve, edit)
    return had


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_each_gets_its_share(share: float) -> None:
    had = shares(*turns(share), seconds=1.0)
    assert had["editing"] / sum(had.values()) == pytest.approx(share, abs=0.1)


def test_one_has_the_model_at_a_time() -> None:
    serving, editing = turns()
    inside: list[str] = []
    most = 0

    def work(turn: Turn) -> None:
        nonlocal most
        for _ in range(100):
            with turn.taken():
                inside.append("")
                time.sleep(0.0001)
                most = max(most, len(inside))
                inside.pop()

    side_by_side(*[lambda turn=turn: work(turn) for turn in (serving, serving, editing, editing)])
    assert most == 1


def test_what_was_not_asked_for_cannot_be_claimed_later() -> None:
    serving, editing = turns()
    with serving.taken():
        time.sleep(3 * CREDIT_S)
    had = shares(serving, editing, seconds=1.0)
    # Else editing would have all of the first 0.3 s, and 0.65 s in all.
    assert had["editing"] - had["serving"] < 2 * CREDIT_S


def test_texts_are_generated_while_targets_are_found() -> None:
    """And neither's result is another for it."""
    engine = Engine(loaded("llama"))
    editor = Grace(
        engine.loaded.model,
        GraceHyperparameters(layer=1, module="mlp", radius=1.0, steps=300, stop_loss=0.0),
    )
    requests = [request_of(n, [tokens(9, n)], [tokens(3, 50 + n)]) for n in range(4)]
    alone, _ = editor.targets(None, requests)
    asked = Wanted(tokens(5, 1), None, 10)
    (wanted,) = say(engine, asked)
    found = []

    def edit() -> None:
        with engine.editing():
            found.extend(editor.targets(None, requests)[0])

    editing = threading.Thread(target=edit)
    editing.start()
    said = []
    while editing.is_alive():
        said += say(engine, asked)
    engine.stop()
    assert len(said) > 10
    assert set(said) == {wanted}
    for one, other in zip(found, alone, strict=True):
        assert torch.equal(one.values, other.values)


def test_who_waits_for_another_to_edit_is_not_wedged(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the worker does while edits are tried."""
    monkeypatch.setattr(pulse, "QUIET_S", 0.1)
    engine = Engine(loaded("gpt2"))
    over, wedged = threading.Event(), []

    def hold() -> None:
        with engine.editing():
            held.set()
            over.wait(10)

    def watch() -> None:
        time.sleep(0.4)
        wedged.append(engine.editing_pulse.wedged_s)
        over.set()

    held = threading.Event()

    def wait() -> None:
        held.wait(10)
        engine.editing_pulse.bind()
        with engine.editing():
            engine.editing_pulse.rest()

    side_by_side(hold, wait, watch)
    engine.stop()
    assert wedged == [None]
