"""A second device for tests on a machine that has none: `FAR`.

Its tensors are wrappers of tensors on the CPU. Whatever mixes them with others is refused, as it is
for two GPUs: all that a model spread over several devices needs can be seen on one CPU. To be
imported by a process of its own: from then on the device is there for whoever looks for one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.hooks import attach_align_device_hook_on_blocks
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
from transformers import PreTrainedModel

from service.editing.architectures import architecture_of, layers_of

_setup_privateuseone_for_python_backend("far")
FAR = torch.device("far:0")
CPU = torch.device("cpu")
aten = torch.ops.aten


class FarTensor(Tensor):
    """Wraps a tensor `near` on the CPU."""

    near: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, near: Tensor) -> "FarTensor":
        made: FarTensor = Tensor._make_wrapper_subclass(
            cls,
            near.size(),
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=FAR,
            requires_grad=near.requires_grad,
        )
        made.near = near
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # as torch calls it
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(function, args, kwargs or {})


def _empty(size: Any, *args: Any, **options: Any) -> Tensor:
    function = torch.empty_strided if args else torch.empty
    return FarTensor(function(size, *args, dtype=options.get("dtype")))


def _copy(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:  # noqa: ARG001
    _near(target).copy_(_near(source))
    return target


# torch.tensor asks for these where no mode sees it.
_library = torch.library.Library("aten", "IMPL")
for _name in ("empty.memory_format", "empty_strided"):
    _library.impl(_name, _empty, "PrivateUse1")
_library.impl("_copy_from", _copy, "PrivateUse1")


class _Devices(TorchDispatchMode):
    """Sees also what makes a far tensor of nothing, or of a near one."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(function, args, kwargs or {})


@contextmanager
def two_devices() -> Iterator[None]:
    """Inside the block this thread has both."""
    with _Devices():  # type: ignore[no-untyped-call]  # torch
        yield


def spread(model: PreTrainedModel, far_from: int) -> PreTrainedModel:
    """Puts a model's layers from `far_from` on, its final norm and its head onto the second device,
    as accelerate does by a device map.
    """
    architecture = architecture_of(model)
    root = architecture.layers
    devices = {f"{root}.{n}": FAR if n >= far_from else CPU for n in range(len(layers_of(model)))}
    devices |= {architecture.norm: FAR, architecture.head: FAR, "": CPU}
    for name, device in devices.items():
        if name:
            model.get_submodule(name).to(device)
    attach_align_device_hook_on_blocks(
        model,
        execution_device=devices,
        offload={name: False for name in devices if name},
        skip_keys=model._skip_keys_device_placement,
    )
    return model


def _run(function: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    far = any(isinstance(tensor, FarTensor) for tensor in tensors)
    if function is aten.copy_.default:
        _near(args[0]).copy_(_near(args[1]))
        return args[0]
    if function is aten.view_as.default:
        return args[0].view(args[1].shape)
    named = kwargs.get("device")
    wanted = far if named is None else torch.device(named).type == FAR.type
    if far and function is not aten._to_copy.default:
        _check_one_device(function, tensors)
    own = {**kwargs, "device": CPU} if named is not None else kwargs
    found = function(*tree_map(_near, args), **tree_map(_near, own))
    if function._schema.is_mutable:
        return args[0]
    return tree_map(_far, found) if wanted else found


def _check_one_device(function: Any, tensors: list[Tensor]) -> None:
    for tensor in tensors:
        if not isinstance(tensor, FarTensor) and tensor.dim():
            raise RuntimeError(f"{function} is given tensors of two devices")


def _near(value: Any) -> Any:
    return value.near if isinstance(value, FarTensor) else value


def _far(value: Any) -> Any:
    return FarTensor(value) if isinstance(value, Tensor) else value
