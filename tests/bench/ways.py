"""The ways in which texts are generated, measured in turn."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from service.editing.overlays import Overlay
from tests.bench import logs
from tests.bench.bare import bare
from tests.bench.inside import Inside
from tests.bench.load import Traffic, closed_loop
from tests.bench.shapes import Shape
from tests.bench.wire import over_http, streamed, whole
from tests.processes import Child, serving

TEXTS = {1: 4, 8: 24, 32: 64, 128: 128}  # of one measurement, by how many are under way
ROUNDS = {1: 3, 8: 3, 32: 3, 128: 1}  # of all ways in turn

# What answers:
BARE = "transformers' own"
NOTHING = "no edits"
HOOKS = "hook layers of 1,000 edits"
EDITED = ("1,000 entries", "10,000 entries", HOOKS)
# And how, if not in process:
WHOLE = ", over HTTP"
STREAMED = ", streamed over HTTP"

Way = Callable[[Iterable[str], int], Traffic]  # runs prompts, so many at once
Rounds = dict[tuple[str, str], Traffic]


def measured(shape: Shape, folder: Path, at_once: Sequence[int]) -> Iterator[tuple[int, Rounds]]:
    """Each way's median traffic, with so many texts under way."""
    with bare(shape) as own, served(shape, folder / f"{shape.name} data", EDITED) as server:
        ways: dict[tuple[str, str], Way] = {(BARE, ""): partial(closed_loop, own)}
        for version, what in enumerate((NOTHING, *EDITED)):
            ways[what, ""] = partial(closed_loop, Inside(shape, overlay(shape, what)))
            body = {"max_new_tokens": shape.new_tokens, "version": version}
            ways[what, WHOLE] = partial(over_http, server.http, whole, body)
            ways[what, STREAMED] = partial(over_http, server.http, streamed, body)
        for number in at_once:
            yield number, _rounds(ways, shape, number)
    shape.engine.stop()


def _rounds(ways: dict[tuple[str, str], Way], shape: Shape, at_once: int) -> Rounds:
    found: defaultdict[tuple[str, str], list[Traffic]] = defaultdict(list)
    for _ in range(ROUNDS[at_once]):
        for name, way in ways.items():
            found[name].append(way(islice(shape.prompts(), TEXTS[at_once]), at_once))
    return {name: Traffic.middle(traffic) for name, traffic in found.items()}


def overlay(shape: Shape, what: str) -> Overlay | None:
    if what == NOTHING:
        return None
    if what == HOOKS:
        return shape.hooks(1_000)
    return shape.codebook(int(what.split()[0].replace(",", "")))


@contextmanager
def served(shape: Shape, folder: Path, versions: Sequence[str]) -> Iterator[Child]:
    """A server of the model, whose log has these overlays for versions 1, 2, ..."""
    made = [overlay(shape, what) for what in versions]
    logs.write(folder, shape.loaded, [one for one in made if one is not None])
    variables = {
        "MODEL": str(shape.folder),
        "DTYPE": "float32",
        "ADMIN_KEY": "bench",
        "DYNAMIC_MULTIPLIER": "1",  # statistics are made soon, and nobody looks at their edits
    }
    with serving(folder, **{f"ERRATA_{k}": v for k, v in variables.items()}) as server:
        yield server
