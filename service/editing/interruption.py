"""Where editing, which goes on beside serving, can be interrupted.

Whoever owns the model says how; what editing runs outside its hands is interrupted nowhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import layers_of
from service.editing.taps import after, hidden_of


class Turn(Protocol):
    """The right to use the model."""

    def take(self) -> None: ...

    def give(self) -> None: ...

    def pause(self) -> None:
        """Lets others go first, while it is this thread's; also from a thread of autograd's."""
        ...


_turn: ContextVar[Turn | None] = ContextVar("turn", default=None)


@contextmanager
def interruptible(model: PreTrainedModel, turn: Turn) -> Iterator[None]:
    """Passes of this thread inside the block, and their gradients, can be interrupted behind each
    layer. The layers must be tapped.
    """

    def breathe(_args: tuple[Any, ...], output: Any) -> None:
        hidden: Tensor = hidden_of(output)
        if hidden.requires_grad:
            hidden.register_hook(lambda _gradient: turn.pause())
        turn.pause()

    token = _turn.set(turn)
    turn.take()
    try:
        with after(dict.fromkeys(layers_of(model), breathe)):
            yield
    finally:
        turn.give()
        _turn.reset(token)


@contextmanager
def aside() -> Iterator[None]:
    """Work that leaves the model alone: others use it meanwhile."""
    turn = _turn.get()
    if turn is None:
        yield
        return
    token = _turn.set(None)
    turn.give()
    try:
        yield
    finally:
        turn.take()
        _turn.reset(token)


def is_interruptible() -> bool:
    """Whether this thread has the turn."""
    return _turn.get() is not None
