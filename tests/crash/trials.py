"""All trials: every point, so many kills of each, on each database."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.atlas import EDITS_FILE
from service.atlas.edits import read_edits
from tests.crash import trial
from tests.crash.points import PASSES, POINTS
from tests.postgresql import Cluster

DATABASES = ("sqlite", "postgresql")
REQUESTS = 3
EDITS = 2  # of each


@dataclass(frozen=True)
class Kill:
    database: str
    point: str
    number: int

    def run(self, cluster: Cluster) -> bool:
        """Whether the server died at the point. Raises `AssertionError` for what it lost."""
        chance = random.Random(f"{self.point} {self.number}")
        chosen = iter(chance.sample(CORRECTIONS, REQUESTS * EDITS))
        requests = [[next(chosen) for _ in range(EDITS)] for _ in range(REQUESTS)]
        passes = chance.randrange(PASSES[self.point])
        with tempfile.TemporaryDirectory() as folder, self._database(cluster) as url:
            return trial.run(Path(folder), url, requests, self.point, passes)

    @contextmanager
    def _database(self, cluster: Cluster) -> Iterator[str | None]:
        if self.database == "sqlite":
            yield None
            return
        with cluster.passing_log() as url:
            yield url


CORRECTIONS = [
    {"prompt": record["prompt"], "target_new": record["target_new"]}
    for record in list(read_edits(EDITS_FILE))[:500]
]


def kills(each: int) -> Iterator[Kill]:
    for point in POINTS:
        for number in range(each):
            for database in DATABASES:
                yield Kill(database, point, number)
