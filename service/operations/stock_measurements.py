"""What editors find out about a model once, by having it read the stock of questions."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, TypeVar

from service.domain.progress import Advance, quiet
from service.editing.entity.stock import Question, digest
from service.engine.engine import Engine
from service.errors import StoppedError
from service.storage.statistics import StatisticsStore

AT_ONCE = 256  # texts between two looks at whether to stop
PREFIX = 16  # characters of the stock's digest that name it

Place = TypeVar("Place", bound=Hashable)
Found = TypeVar("Found")


class StockMeasurements(ABC, Generic[Place, Found]):
    """One kind of what is found out, for each place in the model. Safe to use from any thread."""

    def __init__(self, engine: Engine, store: StatisticsStore) -> None:
        self._engine = engine
        self._store = store
        self._source = f"questions-{digest()[:PREFIX]}"
        self._lock = threading.Lock()  # one thread measures what others wait for
        self._stopping = threading.Event()
        self._known: dict[Place, Found] = {}
        self.doing: str | None = None  # what is being made at the moment

    def ready(self, place: Place) -> bool:
        return self._load(place) is not None

    def of(self, place: Place, advance: Advance | None = None) -> Found:
        """What is found at a place, measured first where it is missing. Raises `StoppedError` when
        it is told to stop.
        """
        with self._lock:
            found = self._load(place)
            if found is None:
                try:
                    found = self._measure(place, advance or quiet)
                finally:
                    self.doing = None
                self._save(place, found)
                self._known[place] = found
            return found

    def stop(self) -> None:
        self._stopping.set()

    def _load(self, place: Place) -> Found | None:
        if place not in self._known:
            found = self._read(place)
            if found is not None:
                self._known[place] = found
        return self._known.get(place)

    def _parts(
        self, what: str, questions: Sequence[Question], advance: Advance
    ) -> Iterator[Sequence[Question]]:
        """The questions, some at a time, while it is told how far they are read."""
        for start in range(0, len(questions), AT_ONCE):
            if self._stopping.is_set():
                raise StoppedError
            self.doing = f"{what}: {start / len(questions):.0%}"
            advance(what, start, len(questions))
            yield questions[start : start + AT_ONCE]
        advance(what, len(questions), len(questions))

    @abstractmethod
    def _measure(self, place: Place, advance: Advance) -> Found: ...

    @abstractmethod
    def _read(self, place: Place) -> Found | None:
        """Reads it from the store, if it is there."""

    @abstractmethod
    def _save(self, place: Place, found: Found) -> None: ...
