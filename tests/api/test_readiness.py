"""Threads of a running server are killed and wedged: `/health/ready` says so, until it is over."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.domain import pulse
from service.engine.generation import Generator
from service.engine.paged import PagedBatch
from service.storage.queue import EditQueue
from service.worker.worker import Worker
from tests.api.calls import EURO, PROMPT, apply, say
from tests.conftest import Server

WITHIN_S = 20.0  # an end that is quiet for 4 s is told; a busy machine is given its time
CROWD = 40  # Python's own pool has 32 threads at the most
DYING = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Ends what is wedged; at the latest when the test does."""
    event = threading.Event()
    yield event
    event.set()


def wedge(whole: Callable[..., Any], released: threading.Event) -> Callable[..., Any]:
    def wedged(*given: Any, **more: Any) -> Any:
        released.wait()
        return whole(*given, **more)

    return wedged


def die(*_: Any) -> None:
    raise SystemExit  # ends a thread without a word


def reasons(server: Server) -> list[str]:
    answer = server.http.get("/health/ready")
    found: list[str] = answer.json()["reasons"]
    assert (answer.status_code, answer.json()["ready"]) == ((503, False) if found else (200, True))
    return found


def beginning(found: Sequence[str], words: Sequence[str]) -> bool:
    """Whether there is one reason for each of the words, which it begins with."""
    pairs = zip(found, words, strict=False)
    return len(found) == len(words) and all(one.startswith(word) for one, word in pairs)


def becomes(server: Server, *words: str) -> None:
    """Within 20 s there are just the reasons that begin with `words`."""
    give_up = time.monotonic() + WITHIN_S
    while not beginning(found := reasons(server), words):
        assert time.monotonic() < give_up, found
        time.sleep(0.05)
    assert server.http.get("/health/live").status_code == 200


@DYING
def test_a_dead_worker(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Worker, "_claim", die)
        becomes(server, "the worker is not running")
    assert server.services.worker is not None
    server.services.worker.start()  # type: ignore[attr-defined]
    becomes(server)
    assert apply(server.http, EURO)[0]["status"] == "applied"


def test_a_wedged_worker(
    server: Server, monkeypatch: pytest.MonkeyPatch, released: threading.Event
) -> None:
    # What an idle worker asks.
    monkeypatch.setattr(EditQueue, "is_empty", wedge(EditQueue.is_empty, released))
    becomes(server, "the worker has given no sign of life for 4 s")
    released.set()
    becomes(server)
    assert apply(server.http, EURO)[0]["status"] == "applied"


def test_a_worker_wedged_in_a_pass(
    server: Server, monkeypatch: pytest.MonkeyPatch, released: threading.Event
) -> None:
    """It has the model meanwhile."""
    model = server.services.engine.loaded.model
    with monkeypatch.context() as patched:
        patched.setattr(model, "forward", wedge(model.forward, released))
        (edit,) = server.http.post("/edits", json=EURO).json()["edits"]
        becomes(
            server, "the worker has given no sign", "whoever runs the model has done nothing for"
        )
    released.set()
    becomes(server)
    assert server.http.get(f"/edits/{edit['id']}?wait=30").json()["status"] == "applied"


def test_a_long_batch_is_at_work(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "QUIET_S", 0.5)
    slow = {**EURO, "hyperparameters": {"steps": 600, "stop_loss": 0.0}}
    (edit,) = server.http.post("/edits", json=slow).json()["edits"]
    begun, polls = time.monotonic(), 0
    while server.http.get(f"/edits/{edit['id']}").json()["status"] in {"queued", "applying"}:
        assert reasons(server) == []
        polls += 1
    assert polls > 10
    assert time.monotonic() - begun > 3 * pulse.QUIET_S


@DYING
def test_a_dead_engine_thread(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Generator, "_step", die)
        answer = server.http.post("/generate", json={"prompt": PROMPT})
        assert answer.status_code == 500
        becomes(server, "the thread that generates has died")
    assert say(server.http) == " lev."
    becomes(server)


@pytest.mark.parametrize(
    ("owner", "part", "reason"),
    [
        (PagedBatch, "step", "whoever runs the model has done nothing for 4 s"),
        (Generator, "_admit", "no forward pass has ended for 4 s, and 1 texts wait for one"),
    ],
)
def test_a_wedged_engine_thread(
    owner: type,
    part: str,
    reason: str,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    released: threading.Event,
) -> None:
    monkeypatch.setattr(owner, part, wedge(getattr(owner, part), released))
    with ThreadPoolExecutor() as pool:
        text = pool.submit(say, server.http)
        try:
            becomes(server, reason)
        finally:
            released.set()  # the pool waits for its thread
        assert text.result() == " lev."
    becomes(server)


def test_a_database_that_hangs(
    server: Server, monkeypatch: pytest.MonkeyPatch, released: threading.Event
) -> None:
    insights = server.services.insights
    monkeypatch.setattr(insights, "version", wedge(insights.version, released))
    becomes(server, "the database does not answer")
    released.set()
    becomes(server)


def test_a_crowd_of_questions_is_no_trouble_of_the_database(
    server: Server, monkeypatch: pytest.MonkeyPatch, released: threading.Event
) -> None:
    """More of them are at the tokenizer than the process has threads for such."""
    engine = server.services.engine
    monkeypatch.setattr(engine, "prompt_tokens", wedge(engine.prompt_tokens, released))
    with ThreadPoolExecutor(CROWD) as pool:
        texts = [pool.submit(say, server.http) for _ in range(CROWD)]
        try:
            begun = time.monotonic()
            while time.monotonic() - begun < 1.0:
                assert reasons(server) == []
        finally:
            released.set()
        assert {text.result() for text in texts} == {" lev."}
