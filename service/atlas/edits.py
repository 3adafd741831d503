"""Atlas's evaluation set: counterfactual edits over facts that it knows."""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.atlas.facts import Fact
from service.atlas.phrasings import PHRASINGS, prompt

SEED = 0
NEIGHBORS = 5
PARAPHRASES = 2  # at least


def counterfactual_edits(facts: list[Fact], known: set[tuple[Fact, int]]) -> list[dict[str, Any]]:
    """One edit for half of the facts, in random order: the answer becomes another one of its
    relation. The other half are never edited and serve as the neighbours that must not change,
    first of all those with the same answer. `known`: what the model answers right, by phrasing.
    """
    chooser = random.Random(SEED)
    edits: list[dict[str, Any]] = []
    for relation in PHRASINGS:
        of_relation = [fact for fact in facts if fact.relation == relation]
        chooser.shuffle(of_relation)
        middle = len(of_relation) // 2
        edited, kept = of_relation[:middle], of_relation[middle:]
        answers = sorted({fact.answer for fact in of_relation})
        for fact in edited:
            edits += _edit(fact, kept, answers, known, chooser)
    chooser.shuffle(edits)
    return [{"case_id": case_id, **edit} for case_id, edit in enumerate(edits)]


def _edit(
    fact: Fact,
    kept: list[Fact],
    answers: list[str],
    known: set[tuple[Fact, int]],
    chooser: random.Random,
) -> Iterator[dict[str, Any]]:
    ways = [way for way in range(len(PHRASINGS[fact.relation])) if (fact, way) in known]
    if len(ways) <= PARAPHRASES:
        return
    own, *others = chooser.sample(ways, len(ways))
    candidates = chooser.sample(kept, len(kept))
    candidates.sort(key=lambda neighbor: neighbor.answer != fact.answer)
    neighborhood: list[dict[str, str]] = []
    for neighbor in candidates:
        way = chooser.randrange(len(PHRASINGS[fact.relation]))
        if (neighbor, way) in known and len(neighborhood) < NEIGHBORS:
            neighborhood.append({"prompt": prompt(neighbor, way), "answer": neighbor.answer})
    yield {
        "relation": fact.relation,
        "prompt": prompt(fact, own),
        "subject": fact.subject,
        "target_new": chooser.choice([answer for answer in answers if answer != fact.answer]),
        "target_true": fact.answer,
        "paraphrases": [prompt(fact, way) for way in others],
        "neighborhood": neighborhood,
    }


def write_edits(edits: list[dict[str, Any]], file: Path) -> None:
    """One JSON object a line, compressed; the same edits give the same bytes."""
    lines = "".join(json.dumps(edit, ensure_ascii=False) + "\n" for edit in edits)
    file.write_bytes(gzip.compress(lines.encode(), mtime=0))


def read_edits(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
