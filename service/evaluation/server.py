"""A server's HTTP routes, and how many questions are put to them at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from service.domain.progress import Advance

Q = TypeVar("Q")
A = TypeVar("A")


class Server(Protocol):
    """For several threads at once."""

    def get(self, path: str, **parameters: Any) -> Any: ...

    def post(self, path: str, body: dict[str, Any]) -> Any: ...


@dataclass(frozen=True)
class Asker:
    """Asks many questions: the server answers those that come together in one pass."""

    server: Server
    at_once: int  # questions
    advance: Advance

    def each(self, what: str, ask: Callable[[Server, Q], A], questions: Sequence[Q]) -> list[A]:
        """The answers, in the questions' order. Raises what `ask` does, as soon as it does."""
        with ThreadPoolExecutor(self.at_once) as pool:
            asked = [pool.submit(ask, self.server, question) for question in questions]
            try:
                for number, one in enumerate(as_completed(asked), 1):
                    one.result()
                    self.advance(what, number, len(asked))
            finally:
                # Where one has failed, those that wait are not asked.
                pool.shutdown(cancel_futures=True)
        return [one.result() for one in asked]
