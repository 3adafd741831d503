"""Asks the operator's probes of versions: whether a change makes the model say something else where
nobody asked for it.
"""

import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence

from service.domain.probes import Probe, ProbeChange
from service.editing.overlays import Overlay, checksum_of
from service.engine.engine import Engine
from service.errors import InvalidRequestError, StoppedError
from service.operations.overlays import Pinned
from service.operations.probe_file import ProbeFile
from service.operations.prompts import Prompts

PROBE_TOKENS = 16  # of an answer
CACHED_ANSWERS = 8  # states whose answers are kept

logger = logging.getLogger(__name__)


class Probes:
    """Its figures are the thread's that changes the log; a dry run asks beside it."""

    def __init__(
        self, engine: Engine, found: ProbeFile | None, most_broken: int, longest: int
    ) -> None:
        """`most_broken`: probes that a batch may break; `longest`: tokens of a prompt. Raises
        `StartupError`, which names the line, for a probe that the model can't be asked.
        """
        self.most_broken = most_broken
        # Of this server's versions, by whether a changed probe is broken too; and edits refused.
        self.changed = Counter({True: 0, False: 0})
        self.refused = 0
        self._engine = engine
        self._lines = {} if found is None else found.probes
        self._probes = tuple(self._lines.values())
        self._prompts = () if found is None else _prompts(engine, found, longest)
        self._known: OrderedDict[str, tuple[str, ...]] = OrderedDict()  # answers by checksum
        self._lock = threading.Lock()  # of what is known; held over no pass
        self._unmet_told = False

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._probes)

    def changes(self, before: Pinned, after: Pinned) -> tuple[ProbeChange, ...]:
        """The probes that are answered otherwise after a change than before it."""
        was, now = self._answers(before), self._answers(after)
        self._tell_unmet(before.version, was)
        found = zip(self._probes, was, now, strict=True)
        return tuple(ProbeChange(*one) for one in found if one[1] != one[2])

    def broken(self, before: Pinned, after: Pinned) -> dict[Probe, ProbeChange]:
        """Those of them that are broken; no others are asked after the change."""
        was = self._answers(before)
        held = [
            number
            for number, (probe, answer) in enumerate(zip(self._probes, was, strict=True))
            if probe.expect is not None and probe.holds(answer)
        ]
        now = self._asked(after.overlay, [self._prompts[number] for number in held])
        pairs = zip(held, now, strict=True)
        return broken_of([ProbeChange(self._probes[n], was[n], answer) for n, answer in pairs])

    def of_history(self, before: Pinned, state: Overlay | None) -> tuple[ProbeChange, ...] | None:
        """Those that a change of history to `state` changes; None where they can't be asked, since
        no probe stops such a change.
        """
        if not self:
            return None
        try:
            after = Pinned(before.version + 1, state, self._engine.place(state))
            return self.changes(before, after)
        except StoppedError:
            raise
        except Exception:
            logger.exception("the probes can't be asked", extra={"version": before.version + 1})
            return None

    def committed(self, version: int, changes: Sequence[ProbeChange] | None) -> None:
        """Counts and tells what a version of this server changed."""
        if changes:
            self.changed.update(change.broken for change in changes)
            logger.warning(
                "a version changes the answers to %d probes, %d of which are broken",
                len(changes),
                len(broken_of(changes)),
                extra={"version": version},
            )

    def _answers(self, pinned: Pinned) -> tuple[str, ...]:
        checksum = checksum_of(pinned.state)
        with self._lock:
            answers = self._known.get(checksum)
        if answers is None:
            answers = self._asked(pinned.overlay, self._prompts)
        with self._lock:
            self._known[checksum] = answers
            self._known.move_to_end(checksum)
            while len(self._known) > CACHED_ANSWERS:
                self._known.popitem(last=False)
        return answers

    def _asked(
        self, overlay: Overlay | None, prompts: Sequence[tuple[int, ...]]
    ) -> tuple[str, ...]:
        with self._engine.editing():
            said = self._engine.continued(overlay, prompts, [PROBE_TOKENS] * len(prompts))
        # No database takes a NUL character.
        return tuple(one.text.replace("\0", "\N{REPLACEMENT CHARACTER}") for one in said)

    def _tell_unmet(self, version: int, answers: Sequence[str]) -> None:
        """Once: a probe that does not hold can't be broken."""
        if self._unmet_told:
            return
        self._unmet_told = True
        found = zip(self._lines.items(), answers, strict=True)
        unmet = [line for (line, probe), answer in found if not probe.holds(answer)]
        if unmet:
            logger.warning(
                "%d probes are not answered as they expect, and guard nothing until they are "
                "(lines %s of ERRATA_PROBES)",
                len(unmet),
                ", ".join(map(str, unmet)),
                extra={"version": version},
            )


def broken_of(changes: Sequence[ProbeChange]) -> dict[Probe, ProbeChange]:
    return {change.probe: change for change in changes if change.broken}


def _prompts(engine: Engine, found: ProbeFile, longest: int) -> tuple[tuple[int, ...], ...]:
    prompts = Prompts(engine, longest)
    tokens = []
    for line, probe in found.probes.items():
        try:
            tokens.append(prompts.of_text(probe.prompt, probe.format))
        except InvalidRequestError as error:
            raise found.fault(line, str(error)) from None
        if probe.expect is not None:
            expect = probe.expect.strip()
            wanted = len(engine.continuation(probe.prompt, expect, probe.format).target)
            room = min(PROBE_TOKENS, engine.loaded.max_tokens - len(tokens[-1]))
            if wanted > room:
                raise found.fault(line, f"expect: has {wanted} tokens, and an answer {room}")
    return tuple(tokens)
