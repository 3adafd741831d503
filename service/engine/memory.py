"""Memory of the devices that a model lies on."""

from collections.abc import Iterator

import torch
from torch import nn

COUNTED = {"cuda", "xpu"}  # whose allocator counts; a CPU's memory is the process's


def device_memory(model: nn.Module) -> Iterator[tuple[str, int, int]]:
    """Each device's name, the bytes that tensors take, and the bytes that torch holds for them."""
    for device in sorted({weight.device for weight in model.parameters()}, key=str):
        if device.type in COUNTED:
            allocated = torch.accelerator.memory_allocated(device)
            yield str(device), allocated, torch.accelerator.memory_reserved(device)
