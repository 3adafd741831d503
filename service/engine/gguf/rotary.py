"""How the model in a GGUF file turns positions into angles."""

import math
from typing import Any

from service.engine.gguf.facts import Facts
from service.engine.gguf.header import FREQUENCIES, GgufFile
from service.errors import StartupError

DEFAULT_THETA = 10_000.0
# Llama 3's scaling but for its factor: all models that have one have these.
LOW, HIGH, CONTEXT = 1.0, 4.0, 8192
TOLERANCE = 1e-3  # of a frequency's divisor


def rope_parameters(file: GgufFile, facts: Facts, size: int) -> dict[str, Any]:
    """Returns them for heads of `size`. Raises `StartupError` for a scaling that is not known."""
    other = [name for name in file.tensors if name.startswith("rope_") and name != FREQUENCIES]
    if other:
        raise StartupError(f"its positions are scaled by {min(other)}, which can't be read yet")
    theta = facts.number("rope.freq_base", DEFAULT_THETA)
    kind = facts.take("rope.scaling.type", "none")
    if kind == "linear" and not file.divisors:
        factor = facts.number("rope.scaling.factor")
        return {"rope_type": "linear", "rope_theta": theta, "factor": factor}
    if kind != "none":
        raise StartupError(f"its positions are scaled by {str(kind)[:64]!r}; known: linear, llama3")
    if not file.divisors:
        return {"rope_type": "default", "rope_theta": theta}
    factor = max(file.divisors)
    if not _close(file.divisors, llama3_divisors(theta, size, factor)):
        raise StartupError(f"its {FREQUENCIES} is not that of Llama 3's scaling, the one known")
    return {
        "rope_type": "llama3",
        "rope_theta": theta,
        "factor": factor,
        "low_freq_factor": LOW,
        "high_freq_factor": HIGH,
        "original_max_position_embeddings": CONTEXT,
    }


def llama3_divisors(theta: float, size: int, factor: float) -> tuple[float, ...]:
    """What a head's frequencies are divided by: low ones by `factor`, high ones by 1."""
    divisors = []
    for even in range(0, size, 2):
        turns = CONTEXT / (2 * math.pi * theta ** (even / size))
        kept = min(max((turns - LOW) / (HIGH - LOW), 0), 1)
        divisors.append(1 / ((1 - kept) / factor + kept))
    return tuple(divisors)


def _close(found: tuple[float, ...], wanted: tuple[float, ...]) -> bool:
    return len(found) == len(wanted) and all(
        math.isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(found, wanted, strict=True)
    )
