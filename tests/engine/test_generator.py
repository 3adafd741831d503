"""The engine's thread: texts come, go, are cancelled, fail, and leave nothing behind."""

import queue
import threading
import time
from collections.abc import Iterator
from unittest.mock import Mock

import pytest
import torch
from transformers import PreTrainedModel
from transformers.generation.continuous_batching.continuous_api import ContinuousBatchProcessor

from service.engine.engine import Engine
from service.engine.generation import UNWELL
from service.engine.running import FinishReason, Generation, Piece, Wanted
from service.engine.sampling import Sampling
from service.errors import GenerationError, OverloadedError, StoppingError
from tests.engine.asking import PATIENCE_S, say
from tests.engine.overlays import loaded, tokens

MOST = 8
PROMPT = tokens(5, 1)
LONG = Wanted(PROMPT, None, 50)  # of the 64 tokens that the model has positions for
SHORT = Wanted(PROMPT, None, 2)
Heard = queue.Queue[Piece | Generation | Exception]


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(loaded("llama"), cache_tokens=1_024, most_texts=MOST)
    yield made
    made.stop()


def fail(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The model fails in the next passes."""
    whole, left = ContinuousBatchProcessor._generation_step, [times]

    def step(processor: ContinuousBatchProcessor, model: PreTrainedModel) -> None:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("out of memory")
        whole(processor, model)

    monkeypatch.setattr(ContinuousBatchProcessor, "_generation_step", step)


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "generation" in thread.name}


def test_a_text_is_not_taken_where_no_thread_can_start(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError("can't start new")))
        with pytest.raises(RuntimeError, match="can't start new"):
            engine.submit((SHORT, Mock()))
    assert (engine.load.running, engine.load.waiting) == (0, 0)
    assert len(say(engine, SHORT)) == 1


def test_a_streamed_text_comes_in_pieces_and_then_whole(engine: Engine) -> None:
    heard: Heard = queue.Queue()
    engine.submit((Wanted(PROMPT, None, 10, streamed=True), heard.put))
    pieces = []
    while isinstance(event := heard.get(timeout=PATIENCE_S), Piece):
        pieces.append(event)
    (whole,) = say(engine, Wanted(PROMPT, None, 10))
    assert event == whole
    assert "".join(piece.text for piece in pieces) == whole.text
    assert tuple(choice for piece in pieces for choice in piece.choices) == whole.choices


def test_texts_end_where_the_models_positions_do(engine: Engine) -> None:
    (found,) = say(engine, Wanted(PROMPT, None, 1_000))
    assert found.completion_tokens == 64 - len(PROMPT)
    assert found.finish_reason is FinishReason.LENGTH


def test_a_seed_says_what_is_drawn_whatever_else_runs(engine: Engine) -> None:
    drawn = [Wanted(PROMPT, None, 20, Sampling(temperature=1.0, seed=n)) for n in range(MOST)]
    alone = [say(engine, one)[0] for one in drawn]
    assert say(engine, *reversed(drawn))[::-1] == alone
    assert len({one.choices for one in alone}) == MOST


def test_a_cancelled_text_makes_room_at_once(engine: Engine) -> None:
    heard: Heard = queue.Queue()
    runs = engine.submit(*[(LONG, heard.put)] * MOST)
    engine.cancel(runs)
    begun = time.monotonic()
    while True:
        try:
            assert say(engine, SHORT)[0].completion_tokens == 2
            break
        except OverloadedError:
            time.sleep(0.001)
    assert time.monotonic() - begun < 1
    assert engine.drain(PATIENCE_S)
    assert heard.empty()


def test_more_texts_than_are_taken_are_refused_whole(engine: Engine) -> None:
    heard: Heard = queue.Queue()
    with pytest.raises(OverloadedError):
        engine.submit(*[(SHORT, heard.put)] * (MOST + 1))
    say(engine, *[SHORT] * MOST)
    assert heard.empty()


def test_a_listener_that_is_gone_stops_its_own_text_alone(engine: Engine) -> None:
    def gone(_: object) -> None:
        raise RuntimeError("Event loop is closed")

    engine.submit((Wanted(PROMPT, None, 50, streamed=True), gone))
    assert say(engine, SHORT)[0].completion_tokens == 2
    assert engine.drain(PATIENCE_S)


def test_a_failed_pass_fails_its_texts_and_no_later_ones(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = say(engine, LONG)
    fail(monkeypatch, 1)
    with pytest.raises(GenerationError):
        say(engine, LONG, LONG)
    assert engine.trouble is None
    assert say(engine, LONG) == wanted


def test_passes_that_fail_in_a_row_are_trouble_until_one_does_not(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, UNWELL)
    for _ in range(UNWELL):
        assert engine.trouble is None
        with pytest.raises(GenerationError):
            say(engine, SHORT)
    assert engine.trouble == "the last 3 forward passes failed: RuntimeError: out of memory"
    say(engine, SHORT)
    assert engine.trouble is None


def test_a_drained_engine_ends_what_it_took_and_takes_no_more(engine: Engine) -> None:
    heard: Heard = queue.Queue()
    engine.submit((LONG, heard.put))
    assert engine.drain(PATIENCE_S)
    assert isinstance(heard.get(timeout=PATIENCE_S), Generation)
    with pytest.raises(StoppingError):
        engine.submit((SHORT, heard.put))


def test_a_stopped_engine_leaves_no_thread_and_tells_those_who_wait(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ContinuousBatchProcessor._generation_step

    def slow(processor: ContinuousBatchProcessor, model: PreTrainedModel) -> None:
        time.sleep(0.1)
        whole(processor, model)

    monkeypatch.setattr(ContinuousBatchProcessor, "_generation_step", slow)
    others = threads()  # of engines that other tests share
    heard: Heard = queue.Queue()
    engine.submit((LONG, heard.put))
    assert threads() - others
    engine.stop()
    assert not threads() - others
    assert isinstance(heard.get_nowait(), StoppingError)


def test_an_idle_engine_uses_no_processor(engine: Engine) -> None:
    say(engine, SHORT)
    begun = time.process_time()
    time.sleep(1)
    assert time.process_time() - begun < 0.02


def test_passes_of_other_threads_see_no_token_to_come(engine: Engine) -> None:
    """Editing runs plain passes on the same model meanwhile."""
    model, ids = engine.loaded.model, torch.tensor([tokens(12, 2)])
    with torch.no_grad():
        wanted = model(input_ids=ids).logits
        for _ in range(4):
            engine.submit(*[(LONG, lambda _: None)])
            for _ in range(10):
                torch.testing.assert_close(model(input_ids=ids).logits, wanted)
