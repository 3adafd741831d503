"""Hooks that act in one thread's passes alone: editing runs while other threads serve.

Each module gets one pair of permanent hooks, which look up in a context variable whether the pass
at hand wants to see or change something there. Nothing is hooked or unhooked while a model serves.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

# Sees what a module is called with.
Before = Callable[[tuple[Any, ...], dict[str, Any]], None]
# Sees a module's input and output; what it returns, unless None, takes the output's place.
After = Callable[[tuple[Any, ...], Any], Any]

_before: ContextVar[Mapping[nn.Module, tuple[Before, ...]]] = ContextVar("before")
_after: ContextVar[Mapping[nn.Module, tuple[After, ...]]] = ContextVar("after")


def tap(module: nn.Module) -> None:
    """Prepares a module, once; the first time must not be while another thread runs it."""
    if _dispatch_after not in module._forward_hooks.values():
        module.register_forward_pre_hook(_dispatch_before, with_kwargs=True)
        module.register_forward_hook(_dispatch_after)


@contextmanager
def before(functions: Mapping[nn.Module, Before]) -> Iterator[None]:
    """Passes of this thread inside the block call each function before its module."""
    with _added(_before, functions):
        yield


@contextmanager
def after(functions: Mapping[nn.Module, After]) -> Iterator[None]:
    """Passes of this thread inside the block call each function after its module; those of an
    outer block come first, and what they return is what the inner ones see.
    """
    with _added(_after, functions):
        yield


@contextmanager
def _added(
    variable: ContextVar[Mapping[nn.Module, tuple[Any, ...]]], functions: Mapping[nn.Module, Any]
) -> Iterator[None]:
    standing = dict(variable.get({}))
    for module, function in functions.items():
        tap(module)
        standing[module] = (*standing.get(module, ()), function)
    token = variable.set(standing)
    try:
        yield
    finally:
        variable.reset(token)


def per_text(flat: Tensor, present: Tensor) -> Tensor:
    """[b, t, d], of a module that some architectures (OPT) call with the texts run together; where
    `present` is: the layers of one model may lie on several devices.
    """
    return flat.reshape(*present.shape, flat.shape[-1]).to(present.device)


def hidden_of(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """A decoder layer's hidden states; some architectures return them in a tuple."""
    return output[0] if isinstance(output, tuple) else output


def with_hidden(output: Tensor | tuple[Tensor, ...], hidden: Tensor) -> Any:
    """A decoder layer's output with other hidden states."""
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden


def _dispatch_before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    for function in _before.get({}).get(module, ()):
        function(args, kwargs)


def _dispatch_after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    for function in _after.get({}).get(module, ()):
        changed = function(args, output)
        output = output if changed is None else changed
    return output
