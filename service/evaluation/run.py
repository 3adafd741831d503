"""Runs an edit set through a server, batch after batch, and asks it what came of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.bounds import MAX_TARGETS
from service.domain.progress import Advance
from service.evaluation.datasets import Record
from service.evaluation.figures import Asked, Figures, Said, figures, likelier, said
from service.evaluation.measure import scope_of
from service.evaluation.questions import Question, of_neighbors, of_paraphrases, of_prompts
from service.evaluation.scope import Scope
from service.evaluation.server import Asker, Server

WAIT_S = 60  # of one long poll
AT_ONCE = 8  # questions that a server is asked, by default


@dataclass(frozen=True)
class How:
    """How an edit set is run."""

    batch: int  # edits applied together
    every: int  # batches between two measures of ERR
    given: int = 0  # paraphrases that each edit brings; PS is of the others
    at_once: int = AT_ONCE


@dataclass(frozen=True)
class Retention:
    """How the first `edits` edits do with all of them in."""

    edits: int
    err: float  # the share that is said
    efficacy: float | None  # ES; None where the dataset names no true answers


@dataclass(frozen=True)
class Report:
    """Everything that one evaluation found out."""

    model: str
    editor: str
    edits: int
    applied: int
    version: int
    figures: Figures
    retention: tuple[Retention, ...]
    trr: float | None  # the scope's share of unrelated prompts, by the name that the field knows
    scope: Scope
    h: float  # the scope's harmonic mean, to rank editors by
    edits_per_second: float | None  # None where nothing was left to apply
    peak_memory_mib: float | None = None  # of the server, if it is a child of this process


def evaluate(
    server: Server,
    records: Sequence[Record],
    how: How,
    advance: Advance,
    beside: Sequence[Record] = (),
) -> Report:
    """Applies `records` in consecutive batches and asks for all figures at the end. Records that
    the server was handed before are left as they are.
    """
    asker = Asker(server, how.at_once, advance)
    handed_in = _count_edits(server)
    seconds = 0.0
    applied_now = 0
    retention: list[Retention] = []
    for number, numbers in enumerate(_batches(len(records), how.batch), 1):
        fresh = [records[i] for i in numbers if i >= handed_in]
        if fresh:
            started = time.perf_counter()
            _apply(server, fresh, how.given)
            seconds += time.perf_counter() - started
            applied_now += len(fresh)
        done = numbers[-1] + 1
        advance("applying", done, len(records))
        if fresh and (number % how.every == 0 or done == len(records)):
            asked = asker.each("asking prompts", _ask, of_prompts(records[:done]))
            retention.append(Retention(done, said(asked) or 0.0, likelier(asked)))
    found = figures(
        asker.each("asking prompts", _ask, of_prompts(records)),
        asker.each("asking paraphrases", _ask, of_paraphrases(records, how.given)),
        asker.each("asking neighbours", _ask, of_neighbors(records)),
    )
    scope = scope_of(asker, records, how.given, beside)
    about = server.get("/version")
    return Report(
        model=about["model"],
        editor=about["editor"],
        edits=len(records),
        applied=_count_edits(server, status="applied"),
        version=about["version"],
        figures=found,
        retention=tuple(retention),
        trr=scope.unrelated,
        scope=scope,
        h=scope.harmonic,
        edits_per_second=applied_now / seconds if applied_now else None,
    )


def _batches(count: int, size: int) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _count_edits(server: Server, status: str | None = None) -> int:
    count = 0
    after: int | None = 0
    while after is not None:
        page = server.get("/edits", after=after, limit=1_000, status=status)
        count += len(page["edits"])
        after = page["next"]
    return count


def _apply(server: Server, records: Sequence[Record], given: int) -> None:
    edits = [
        {
            "prompt": r.prompt,
            "subject": r.span,
            "target_new": r.target_new,
            "paraphrases": r.paraphrases[:given],
        }
        for r in records
    ]
    for queued in server.post("/edits", {"edits": edits})["edits"]:
        while server.get(f"/edits/{queued['id']}", wait=WAIT_S)["status"] in ("queued", "applying"):
            pass


def _ask(server: Server, question: Question) -> Asked:
    said: list[Said] = []
    for start in range(0, len(question.targets), MAX_TARGETS):
        some = question.targets[start : start + MAX_TARGETS]
        scores = server.post("/score", {"prompt": question.prompt, "targets": some})["scores"]
        said += [Said(score["logprob"], score["greedy"]) for score in scores]
    return question.answered(said)
