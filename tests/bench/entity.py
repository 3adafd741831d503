"""`entity` on a real model: what an edit costs beside one of GRACE's, and what serving costs beside
ten thousand entries.
"""

import tempfile
from itertools import islice
from pathlib import Path

import torch
from rich.progress import Progress

from service.atlas import EDITS_FILE
from service.atlas.edits import read_edits
from service.domain.edits import Correction
from service.domain.subject_index import normal
from service.editing.editor import AnyEditor
from service.editing.entity.book import NONE, Answer, EntityBook, Entry, Rows
from service.editing.entity.editor import Entity, EntityHyperparameters
from service.editing.entity.relation_space import RelationSpace
from service.editing.grace import Grace, GraceHyperparameters, site_of
from service.editing.hyperparameters import hyperparameters_of
from service.editing.splitting import Splitting
from service.operations.codebook_radii import CodebookRadii
from service.operations.relation_spaces import RelationSpaces
from service.operations.wording import Wording
from service.storage.statistics import StatisticsStore
from tests.bench.figure import Figure
from tests.bench.inside import Inside
from tests.bench.load import Traffic, closed_loop
from tests.bench.pace import Pace, paced
from tests.bench.shapes import Shape
from tests.quality.models import SMOLLM2, missing

EDITS = 16
ROUNDS = 3
ENTRIES = 10_000
AT_ONCE = 32
TEXTS = 64
NEW_TOKENS = 32
NAMED = 2_000  # of the entries: subjects of texts that are asked


def run(progress: Progress) -> list[Figure]:
    if not SMOLLM2.is_there:
        progress.console.print(f"entity is not measured: {missing(SMOLLM2)}")
        return []
    prompts = tuple(record["prompt"] for record in read_edits(EDITS_FILE))
    shape = Shape(SMOLLM2.name, SMOLLM2.folder, NEW_TOKENS, (3, 4, 5), prompts)
    model = shape.loaded.model
    found = hyperparameters_of(model, "entity")
    plain = hyperparameters_of(model, "grace")
    assert isinstance(found, EntityHyperparameters)
    assert isinstance(plain, GraceHyperparameters)
    task = progress.add_task("entity", total=None)
    with tempfile.TemporaryDirectory() as folder:
        store = StatisticsStore(Path(folder), shape.loaded.fingerprint)
        spaces = RelationSpaces(shape.engine, store, Splitting())
        space = spaces.of((found.layer, found.sentence_layer))
        radii = CodebookRadii(shape.engine, store, Splitting()).of(site_of(plain))
    entity = Entity(model, shape.loaded.tokenizer, found, space)
    mine, graces = _pace(shape, entity), _pace(shape, Grace(model, plain, radii))
    nothing, many = _serving(shape, _book(space, model.config.hidden_size))
    progress.remove_task(task)
    shape.engine.stop()
    name = f"{shape.name}, {ENTRIES:,} entries, {AT_ONCE} at once"
    return [
        Figure("entity", "an edit, beside one of GRACE's", mine.edit, "s", graces.edit, most=2.0),
        Figure("entity", name, many.pace, "tok/s", nothing.pace, 0.9),
    ]


def _pace(shape: Shape, editor: AnyEditor) -> Pace:
    records = list(islice(read_edits(EDITS_FILE), EDITS))
    corrections = [
        Correction(r["prompt"], r["target_new"], editor.name, subject=r["subject"]) for r in records
    ]
    worded = Wording(shape.engine).phrasings(corrections)
    requests = [
        editor.request(shape.loaded.tokenizer, number, correction, one.phrasings)
        for number, (correction, one) in enumerate(zip(corrections, worded, strict=True), 1)
    ]
    return Pace.middle([paced(editor, None, requests) for _ in range(ROUNDS)])


def _serving(shape: Shape, book: EntityBook) -> tuple[Traffic, Traffic]:
    """Without and with the book, in turn."""
    ways = Inside(shape, None), Inside(shape, book)
    found: tuple[list[Traffic], list[Traffic]] = ([], [])
    for _ in range(ROUNDS):
        for way, traffic in zip(ways, found, strict=True):
            traffic.append(closed_loop(way, islice(shape.prompts(), TEXTS), AT_ONCE))
    return Traffic.middle(found[0]), Traffic.middle(found[1])


def _book(space: RelationSpace, width: int) -> EntityBook:
    """Many names, some of which the texts name; nothing that is asked lies within a radius."""
    generator = torch.Generator().manual_seed(0)
    named = [normal(record["subject"]) for record in islice(read_edits(EDITS_FILE), NAMED)]
    names = [*dict.fromkeys(named), *(f"the town of number {n}" for n in range(ENTRIES))][:ENTRIES]
    keys = torch.randn(ENTRIES, space.width, generator=generator)
    rows = Rows(
        index=tuple(range(ENTRIES)),
        entries=tuple(Entry(name, 0.0, (n, NONE, NONE)) for n, name in enumerate(names)),
        keys=torch.nn.functional.normalize(keys, dim=1),
        answers=tuple(Answer((n % 4_096,), n + 1) for n in range(ENTRIES)),
        values=torch.randn(ENTRIES, width, generator=generator),
    )
    return EntityBook.empty().with_rows(space, rows)
