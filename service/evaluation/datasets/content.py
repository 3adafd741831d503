"""A file's bytes as JSON values, each with the line that it begins in.

A list, `{"edits": [...]}`, one object, or objects one after another, as JSON lines have them: told
by the content, never by the file's name. What may be in a file is not ours: every value that JSON
or a server would not have is named, and nothing of it raises anything but `DatasetError`.
"""

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.evaluation.datasets.record import DatasetError, Place

MAX_BYTES = 1 << 28  # of a file's text; its values take some ten times as much memory
MAX_QUOTED = 64  # characters of a key in a message
GZIP = b"\x1f\x8b"
SPACE = re.compile(r"[ \t\n\r]*")
WRAPPED = re.compile(r'[ \t\n\r]*\{[ \t\n\r]*"edits"[ \t\n\r]*:[ \t\n\r]*(?=\[)')
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
TOO_DEEP = "is nested too deeply"


@dataclass(frozen=True)
class Found:
    """One value of a file."""

    place: Place
    value: Any
    flaw: str | None  # why it can't be taken


def values(file: Path) -> Iterator[Found]:
    """The values of `file`, one by one: what follows the last that is asked for is not looked at.
    Raises `DatasetError` where it can't be read on.
    """
    text = _text(file)
    start = _Cursor(file, text).skip(0)
    if not text[start:]:
        return
    wrapped = WRAPPED.match(text)
    if wrapped or text[start] == "[":
        yield from _listed(file, text, wrapped.end() if wrapped else start, bool(wrapped))
    else:
        yield from _one_by_one(file, text, start)


def _text(file: Path) -> str:
    try:
        with file.open("rb") as plain:
            packed = plain.read(len(GZIP)) == GZIP
            plain.seek(0)
            # One byte more than may be there, whatever it unpacks to.
            content = (gzip.open(plain) if packed else plain).read(MAX_BYTES + 1)  # noqa: SIM115
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{file} can't be read: {error}") from error
    if len(content) > MAX_BYTES:
        raise DatasetError(f"{file} holds more than {MAX_BYTES >> 20} MiB: split it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{file}, line {line}: is not UTF-8: {error.reason}") from error


def _listed(file: Path, text: str, at: int, wrapped: bool) -> Iterator[Found]:
    """The elements of the list that begins at `at`; `wrapped` in an object with nothing else."""
    cursor = _Cursor(file, text)
    at = cursor.skip(at + 1)
    while text[at : at + 1] != "]":
        place = cursor.next_place(at)
        try:
            value, at, flaw = cursor.value(at)
        except (ValueError, RecursionError) as error:
            # Where the next element begins can't be told.
            raise cursor.not_json(error, place.line) from error
        yield Found(place, value, flaw)
        at = cursor.skip(at)
        if text[at : at + 1] == ",":
            at = cursor.skip(at + 1)
            if text[at : at + 1] == "]":
                raise cursor.wrong(at, "a list does not end with a comma")
        elif text[at : at + 1] != "]":
            raise cursor.wrong(at, "expecting a comma or the list's end")
    at = cursor.skip(at + 1)
    if wrapped and text[at : at + 1] == ",":
        raise cursor.wrong(at, "`edits` stands in an object of its own", "")
    if wrapped:
        if text[at : at + 1] != "}":
            raise cursor.wrong(at, "expecting the object's end")
        at = cursor.skip(at + 1)
    if at < len(text):
        raise cursor.wrong(at, "something follows the list")


def _one_by_one(file: Path, text: str, at: int) -> Iterator[Found]:
    cursor = _Cursor(file, text)
    while at < len(text):
        place = cursor.next_place(at)
        try:
            value, end, flaw = cursor.value(at)
        except (ValueError, RecursionError) as error:
            # The rest can be read if it is lines of objects; else where it goes on can't be told.
            end = text.find("\n", at)
            following = cursor.skip(end) if end >= 0 else len(text)
            by_lines = text[following : following + 1] == "{" or (place.number > 1 and end < 0)
            broken = cursor.not_json(error, place.line)
            if text[at] != "{" or not by_lines:
                raise broken from error
            value, end, flaw = None, following, broken.args[0].partition(": ")[2]
        yield Found(place, value, flaw)
        at = cursor.skip(end)


class _Cursor:
    """Decodes the values of one text in their order, and counts its lines."""

    def __init__(self, file: Path, text: str) -> None:
        self._file = file
        self._text = text
        self._counted = (0, 1)  # a character and its line
        self._number = 0  # of the last record
        self._flaws: list[str] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_float=self._float,
        )

    def skip(self, at: int) -> int:
        """Past white space."""
        found = SPACE.match(self._text, at)
        return at if found is None else found.end()

    def next_place(self, at: int) -> Place:
        """Returns the place of the next record, which begins at `at`."""
        self._number += 1
        return Place(self._file, self._number, self.line(at))

    def line(self, at: int) -> int:
        counted, line = self._counted
        if at >= counted:
            line += self._text.count("\n", counted, at)
            self._counted = (at, line)
            return line
        return self._text.count("\n", 0, at) + 1

    def value(self, at: int) -> tuple[Any, int, str | None]:
        """The value at `at`, where it ends, and what is wrong with it for all that it could be
        decoded. Raises `ValueError` or `RecursionError` if it can't.
        """
        self._flaws.clear()
        value, end = self._decoder.raw_decode(self._text, at)
        if SURROGATE.search(self._text, at, end):
            try:
                json.dumps(value, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                self._flaws.append("holds a lone surrogate")
        return value, end, self._flaws[0] if self._flaws else None

    def not_json(self, error: Exception, line: int) -> DatasetError:
        """Returns the error of a value that begins in `line`, with the line at fault if known."""
        if isinstance(error, json.JSONDecodeError):
            return self.wrong(error.pos, error.msg)
        reason = TOO_DEEP if isinstance(error, RecursionError) else f"is not JSON: {error}"
        return DatasetError(f"{self._file}, line {line}: {reason}")

    def wrong(self, at: int, reason: str, what: str = "is not JSON: ") -> DatasetError:
        return DatasetError(f"{self._file}, line {self.line(at)}: {what}{reason}")

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
            self._flaws.append(f"holds the key {twice[:MAX_QUOTED]!r} twice")
        return found

    def _constant(self, name: str) -> float:
        self._flaws.append(f"holds {name}, which is no JSON number")
        return 0.0

    def _float(self, digits: str) -> float:
        number = float(digits)
        if number in (float("inf"), float("-inf")):
            self._flaws.append(f"holds {digits[:MAX_QUOTED]}, which is past all numbers")
        return number
