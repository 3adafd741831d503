"""Who computes or waits for others is not wedged; who does nothing is, in time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from service.domain import pulse as module
from service.domain.pulse import Pulse

QUIET_S = 0.3


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_S", QUIET_S)
    monkeypatch.setattr(module, "LONG_S", 10 * QUIET_S)


@contextmanager
def thread(pulse: Pulse, work: Callable[[threading.Event], None]) -> Iterator[threading.Thread]:
    """One whose pulse it is, and which works until the block's end."""
    over = threading.Event()

    def run() -> None:
        pulse.bind()
        work(over)

    made = threading.Thread(target=run)
    made.start()
    yield made
    over.set()
    made.join()


def compute(over: threading.Event) -> None:
    while not over.is_set():
        sum(range(1_000))


def wait(over: threading.Event) -> None:
    over.wait()


def test_who_does_nothing_is_wedged_until_the_next_sign() -> None:
    pulse = Pulse()
    with thread(pulse, wait):
        assert pulse.wedged_s is None
        time.sleep(1.5 * QUIET_S)
        assert pulse.wedged_s == pytest.approx(1.5 * QUIET_S, abs=0.5 * QUIET_S)
        pulse.beat()
        assert pulse.wedged_s is None


def test_who_computes_is_wedged_only_much_later() -> None:
    pulse = Pulse()
    with thread(pulse, compute):
        time.sleep(2 * QUIET_S)
        assert pulse.wedged_s is None
        time.sleep(9 * QUIET_S)
        assert pulse.wedged_s is not None


def test_who_waits_for_others_is_wedged_only_much_later() -> None:
    pulse = Pulse()

    def patiently(over: threading.Event) -> None:
        with pulse.patient():
            over.wait()

    with thread(pulse, patiently):
        time.sleep(2 * QUIET_S)
        assert pulse.wedged_s is None
        time.sleep(9 * QUIET_S)
        assert pulse.wedged_s is not None


def test_another_threads_patience_changes_nothing() -> None:
    pulse = Pulse()
    with thread(pulse, wait), pulse.patient():
        time.sleep(1.5 * QUIET_S)
        assert pulse.wedged_s is not None


def test_who_rests_is_not_wedged_and_gives_no_sign() -> None:
    pulse = Pulse()
    pulse.bind()
    pulse.rest()
    pulse.beat()
    time.sleep(1.5 * QUIET_S)
    assert pulse.wedged_s is None


def test_a_thread_that_has_ended_is_wedged() -> None:
    pulse = Pulse()
    with thread(pulse, lambda _: None) as ended:
        ended.join()
        time.sleep(1.5 * QUIET_S)
        assert pulse.wedged_s is not None
