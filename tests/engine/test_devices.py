"""Models whose layers lie on two devices: `two_devices.py`, in a process of its own, since the
second device would be there for all other tests as well.
"""

import subprocess
import sys
from pathlib import Path

import pytest


def test_on_two_devices() -> None:
    pytest.importorskip("accelerate")
    tests = Path(__file__).with_name("two_devices.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(tests)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
