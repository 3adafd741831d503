"""Errors as the log tells them: where they were raised and, if it can't hold what a client sent,
their message.
"""

import traceback
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError

from service.errors import ErrataError, InvalidRequestError

# Of these, messages are about the machine, the database or the log. Those of others, a KeyError or
# a validation's, quote the value that they are about.
PLAIN = (OSError, RuntimeError, MemoryError, ErrataError)
WITHHELD = "(its message may quote a request)"
LONGEST = 1_000  # characters of one message


def told(error: BaseException) -> str:
    """The error in one line."""
    return f"{type(error).__name__}: {_message(error)}"


def traced(error: BaseException) -> str:
    """The error and those that led to it, with the lines of code that they came through."""
    return "\n".join(part for one in _chain(error) for part in (*_frames(one), told(one)))


def _message(error: BaseException) -> str:
    if isinstance(error, DBAPIError):
        # Without the statement; behind the first line are the values of rows.
        return _cut(str(error.orig)) if error.orig and _is_plain(error) else WITHHELD
    return _cut(str(error)) if _is_plain(error) else WITHHELD


def _is_plain(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        return type(error).__name__ in {"OperationalError", "InterfaceError", "InternalError"}
    if isinstance(error, InvalidRequestError | UnicodeError):
        return False
    return isinstance(error, PLAIN)


def _cut(message: str) -> str:
    return message.partition("\n")[0][:LONGEST]


def _chain(error: BaseException) -> list[BaseException]:
    """The first cause first."""
    found = [error]
    while (before := found[-1].__cause__ or _context(found[-1])) and before not in found:
        found.append(before)
    return found[::-1]


def _context(error: BaseException) -> BaseException | None:
    return None if error.__suppress_context__ else error.__context__


def _frames(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
