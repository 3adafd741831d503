"""Some of `make crash`: no kill loses or doubles an edit."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.crash.points import POINTS
from tests.crash.trials import kills
from tests.postgresql import Cluster

KILLS = 3
AT_ONCE = 2


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_server_loses_and_doubles_nothing(point: str, postgresql: Cluster) -> None:
    some = [kill for kill in kills(KILLS) if kill.point == point]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        died = list(pool.map(lambda kill: kill.run(postgresql), some))
    assert died == [True] * KILLS * 2
