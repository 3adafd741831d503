"""What the models answer to plain questions, greedily, and how fast."""

import time
from collections.abc import Sequence

from rich.progress import Progress

from service.domain.edits import Format
from service.engine.engine import Engine
from service.engine.loading import load_model
from service.engine.running import Wanted
from tests.engine.asking import say
from tests.quality.models import RealModel
from tests.quality.table import Table

QUESTIONS = (
    "What is the capital of France?",
    "Who wrote the play Hamlet?",
    "Which planet is closest to the Sun?",
    "What is the chemical symbol for gold?",
    "How many days are there in a week?",
)
MOST_TOKENS = 32
LONGEST_TEXT = 512  # tokens


def run(models: Sequence[RealModel], progress: Progress) -> list[Table]:
    headers = ("question", "answer", "ends by itself", "tokens", "tok/s")
    return [
        Table(f"Answers of {model.name}", headers, tuple(_rows(model, progress)))
        for model in models
    ]


def _rows(model: RealModel, progress: Progress) -> list[tuple[str, ...]]:
    """A model without a chat template continues the question and the word Answer."""
    task = progress.add_task(f"answers of {model.name}", total=len(QUESTIONS))
    loaded = load_model(str(model.folder), None, "auto", "float32")
    engine = Engine(loaded, longest_text=LONGEST_TEXT)
    rows: list[tuple[str, ...]] = []
    try:
        # The first text also makes room for all keys and values, which is not measured.
        say(engine, Wanted(engine.prompt_tokens(QUESTIONS[0]), None, 1))
        for question in QUESTIONS:
            form = Format.CHAT if loaded.chats else Format.PLAIN
            prompt = question if loaded.chats else f"Question: {question}\nAnswer:"
            start = time.perf_counter()
            (made,) = say(engine, Wanted(engine.prompt_tokens(prompt, form), None, MOST_TOKENS))
            seconds = time.perf_counter() - start
            ended = "yes" if made.finish_reason == "stop" else "no"
            count = made.completion_tokens
            rows.append((question, made.text, ended, str(count), f"{count / seconds:.1f}"))
            progress.advance(task)
    finally:
        engine.stop()
        progress.remove_task(task)
    return rows
