"""Where a model's weights go: one device, or several by a device map."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import psutil
import torch
from transformers import PreTrainedModel

from service.engine.checkpoint import first_line
from service.errors import StartupError

GIB = 1 << 30


def device_named(name: str) -> torch.device:
    """`auto`: the GPU if there is one. Raises `StartupError` for a device that can't be used."""
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        # Something must really be there: `meta` holds no numbers.
        tried = torch.zeros(1, device=name)
        tried.item()
        return tried.device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise StartupError(f"ERRATA_DEVICE '{name}' can't be used: {first_line(error)}") from error


def need(package: str, setting: str, extra: str) -> None:
    """Raises `StartupError` unless a package of one of the extras is installed."""
    if find_spec(package) is None:
        raise StartupError(
            f"{setting} needs the package {package}, which is not installed: "
            f"pip install 'errata-server[{extra}]'"
        )


def check_room(size: int, device: torch.device) -> None:
    """Raises `StartupError` where `size` bytes of weights are more than is free. On a CPU nobody
    else says so: the process would be killed without a word.
    """
    if device.type == "cpu":
        free = psutil.virtual_memory().available
    elif device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        return
    if size > free:
        raise _too_large(size, device, f", which has {free / GIB:.1f} GiB free")


@contextmanager
def within(size: int, device: torch.device | str) -> Iterator[None]:
    """Tells how large the weights are that a device ran out of memory for."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise _too_large(size, device, "") from error


def check_placed(model: PreTrainedModel, device_map: str) -> None:
    """Raises `StartupError` for weights that a device map left out of its devices' memory: what
    has no numbers can't be edited.
    """
    if any(weight.is_meta for weight in model.parameters()):
        raise StartupError(
            f"ERRATA_DEVICE_MAP '{device_map}' finds no room for all weights: some would wait in "
            "other memory or on disk, where they can't be edited. Use more or larger GPUs, a "
            "smaller ERRATA_DTYPE or ERRATA_QUANTIZATION"
        )


def _too_large(size: int, device: torch.device | str, free: str) -> StartupError:
    return StartupError(
        f"the model's {size / GIB:.1f} GiB of weights do not fit on {device}{free}: choose a "
        "smaller model, ERRATA_DTYPE or ERRATA_QUANTIZATION, or spread it with ERRATA_DEVICE_MAP"
    )
