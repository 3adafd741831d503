"""Who runs the model: serving and editing take turns, so that neither starves the other.

Passes use all cores, or one stream of a device, so that two at a time would only slow each other.
Each party is charged for the time that it had, and of two that want to go on the one that has had
less of its share goes first.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from service.domain.pulse import Pulse
from service.errors import StoppedError

# How far one that was away may have fallen behind: what it did not ask for it cannot claim later.
CREDIT_S = 0.1
# How long editing, when it is ahead, lets serving see to its answers between two passes.
PATIENCE_S = 0.005


class Party(Enum):
    SERVING = "serving"
    EDITING = "editing"

    @property
    def other(self) -> "Party":
        return Party.SERVING if self is Party.EDITING else Party.EDITING


class Turns:
    def __init__(self, editing_share: float, synchronise: Callable[[], None]) -> None:
        """`editing_share`: of the time, while both want it; between 0 and 1. `synchronise` waits
        for what a device was told to do.
        """
        self._share = {Party.EDITING: editing_share, Party.SERVING: 1 - editing_share}
        self._synchronise = synchronise
        # Guards what follows, and tells of each change of it.
        self._changed = threading.Condition()
        self._holder: Party | None = None
        self._since = 0.0
        self._waiting = dict.fromkeys(Party, 0)
        self._charged = dict.fromkeys(Party, 0.0)  # seconds, over the party's share
        self._interrupted = False
        self._served = 0.0  # when serving gave its turn back
        self.holder = Pulse()  # the thread's that has the turn
        # The threads' that must go on; they may wait for their turn.
        self.pulses = {party: Pulse() for party in Party}

    def take(self, party: Party) -> None:
        """Waits for a turn; nobody else has one until it is given back."""
        with self._changed:
            self._waiting[party] += 1
            least = self._charged[party.other] - CREDIT_S / self._share[party]
            self._charged[party] = max(self._charged[party], least)
            if self._must_wait(party) != 0:
                self._wait(party)
            self._waiting[party] -= 1
            self._holder, self._since = party, time.monotonic()
            self.holder.bind()

    def give(self, party: Party) -> None:
        """Gives the party's turn back; from any thread."""
        with self._changed:
            self._charge(party)
            if party is Party.SERVING:
                self._served = self._since
            self._holder = None
            self.holder.rest()
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Editing is to end: it gets no further than to its next pause."""
        self._interrupted = True

    def pause(self, party: Party) -> None:
        """Lets the other party go first where that is its due. Raises `StoppedError` once editing
        was interrupted.
        """
        if self._interrupted and party is Party.EDITING:
            raise StoppedError("the server is stopping")
        self.holder.bind()
        self.pulses[party].beat()
        if not self._waiting[party.other]:  # as it nearly always is: no lock is needed to see it
            return
        self._synchronise()
        with self._changed:
            self._charge(party)
            ahead = self._charged[party] > self._charged[party.other]
        if ahead:
            self.give(party)
            self.take(party)

    def _wait(self, party: Party) -> None:
        # Each party's thread also takes turns of the other's.
        with self.pulses[party].patient(), self.pulses[party.other].patient():
            while (wait_s := self._must_wait(party)) != 0:
                self._changed.wait(wait_s)

    def _charge(self, party: Party) -> None:
        now = time.monotonic()
        self._charged[party] += (now - self._since) / self._share[party]
        self._since = now

    def _must_wait(self, party: Party) -> float | None:
        """Seconds to wait before looking again: None until something changes, 0 not at all."""
        if self._holder is not None:
            return None
        if self._charged[party] <= self._charged[party.other]:
            return 0
        if self._waiting[party.other]:
            return None
        if party is Party.SERVING:
            return 0
        return max(0.0, self._served + PATIENCE_S - time.monotonic())


class Turn:
    """One party's."""

    def __init__(self, turns: Turns, party: Party, given_up: threading.Event | None = None) -> None:
        """Once it is `given_up`, its work ends at the next pause, by a `StoppedError`."""
        self._turns = turns
        self._party = party
        self._given_up = given_up

    def take(self) -> None:
        self._turns.take(self._party)

    def give(self) -> None:
        self._turns.give(self._party)

    def pause(self) -> None:
        if self._given_up is not None and self._given_up.is_set():
            raise StoppedError("nobody waits for it any more")
        self._turns.pause(self._party)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Nobody else has a turn inside the block."""
        self.take()
        try:
            yield
        finally:
            self.give()
