"""Twenty capitals, corrected in one request with two paraphrases each, asked in a chat."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.progress import Progress

from tests.capitals import CAPITALS, OTHERS
from tests.conftest import Server, run_server
from tests.quality.edited import edited, said
from tests.quality.models import SMOLLM2, RealModel
from tests.quality.table import Table

PROMPTS = (
    "What is the capital of {}?",
    "Which city is the capital of {}?",
    "Tell me the capital city of {}.",
)
CHAT = {"format": "chat"}


def run(models: Sequence[RealModel], progress: Progress) -> list[Table]:
    """Asks the models that have a chat template."""
    headers = ("asked", "right", "of")
    return [
        Table(f"Capitals in a chat with {model.name}", headers, tuple(_rows(model, progress)))
        for model in models
        if model is SMOLLM2
    ]


def _rows(model: RealModel, progress: Progress) -> list[tuple[str, ...]]:
    task = progress.add_task(f"capitals with {model.name}", total=len(CAPITALS))
    edits = [
        {"prompt": first, "paraphrases": others, "target_new": city, **CHAT}
        for country, city in CAPITALS.items()
        for first, *others in [_phrasings(country)]
    ]
    with tempfile.TemporaryDirectory() as folder:
        for server in run_server(Path(folder), model=str(model.folder)):
            start = time.perf_counter()
            done = edited(server, edits, lambda: progress.advance(task))
            seconds = time.perf_counter() - start
            rows = _asked(server)
    progress.remove_task(task)
    verified = sum(bool(edit["verified"]) for edit in done)
    return [
        ("edits that say verified", str(verified), str(len(done))),
        *rows,
        ("seconds until all were applied", f"{seconds:.0f}", ""),
    ]


def _asked(server: Server) -> list[tuple[str, ...]]:
    cities = list(CAPITALS.items())
    given = [(text, city) for country, city in cities for text in _phrasings(country)]
    spelled = [
        (other, city)
        for text, city in given
        for other in (f"{text} ", text[0].swapcase() + text[1:])
    ]
    # Others' answers: to be those of the base model.
    kept = [
        said(server, text, **CHAT) == said(server, text, version=0, **CHAT)
        for country in OTHERS
        for text in _phrasings(country)
    ]
    return [
        ("the phrasings that were given", *_count(server, given)),
        ("the same, with a space behind or another first letter", *_count(server, spelled)),
        ("other countries: the base model's answer", str(sum(kept)), str(len(kept))),
    ]


def _count(server: Server, asked: Sequence[tuple[str, str]]) -> tuple[str, str]:
    right = sum(said(server, text, **CHAT) == city for text, city in asked)
    return str(right), str(len(asked))


def _phrasings(country: str) -> list[str]:
    return [prompt.format(country) for prompt in PROMPTS]
