"""The machine that is measured."""

import platform
import time
from pathlib import Path

import torch

CPU_INFO = Path("/proc/cpuinfo")


def device() -> torch.device:
    """The accelerator if there is one, as the server's `auto` chooses."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def now() -> float:
    """Seconds, read when the accelerator has done all that it was given."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter()


def described() -> str:
    where = device()
    parts = [f"{_processor()} ({platform.machine()}), {torch.get_num_threads()} threads"]
    if where.type == "cuda":
        parts.append(torch.cuda.get_device_name(where))
    elif where.type != "cpu":
        parts.append(where.type)
    return ", ".join([*parts, f"torch {torch.__version__}"])


def _processor() -> str:
    """The model's name where the system tells it."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown processor"
