"""More clients than the server takes: each is answered or turned away, and afterwards it is as
before. `make bench BENCH=overload` does it for a minute and measures.
"""

from pathlib import Path

from tests.bench.overload import overloaded
from tests.conftest import ADMIN_KEY
from tests.processes import EURO, serving

CAPACITY = 8
SECONDS = 3.0


def test_a_crowd_is_turned_away_and_nothing_breaks(tmp_path: Path) -> None:
    settings = {
        "ERRATA_ADMIN_KEY": ADMIN_KEY,
        "ERRATA_MAX_GENERATIONS": str(CAPACITY),
        "ERRATA_MAX_REQUESTS": str(CAPACITY + 1),
        "ERRATA_MAX_QUEUE_DEPTH": "40",
        "OMP_NUM_THREADS": "1",
    }
    with serving(tmp_path / "data", **settings) as child:
        found = overloaded(child, CAPACITY, SECONDS)

        assert found.others == 0, found.statuses
        assert {200, 429, 503} <= set(found.statuses)
        assert min(found.health_ms) > 0  # each was answered
        assert child.get("/health/ready") == {"ready": True, "reasons": []}
        assert child.answer(EURO["prompt"]) == " lev."
        log = child.errors.read_text()
        assert '"level": "error"' not in log
        assert '"level": "critical"' not in log
