"""A file of probes: JSON lines, each with a `prompt`, and maybe `format` and `expect`."""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictStr,
    ValidationError,
)

from service.domain.bounds import check_text
from service.domain.edits import Format
from service.domain.probes import Probe
from service.errors import StartupError

MAX_PROBES = 128  # each costs every batch an answer
MAX_CHARACTERS = 4_096  # of one text: what changed is kept with every version
MAX_BYTES = 1 << 22

Text = Annotated[StrictStr, Field(max_length=MAX_CHARACTERS), AfterValidator(check_text)]


@dataclass(frozen=True)
class ProbeFile:
    file: Path
    probes: Mapping[int, Probe]  # by line, one at least

    def fault(self, line: int, reason: str) -> StartupError:
        """The error that names a line."""
        return StartupError(f"ERRATA_PROBES {self.file}, line {line}: {reason}")


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    prompt: Text
    format: Format = Format.PLAIN
    expect: Text | None = None


def read_probes(file: Path) -> ProbeFile:
    """Reads the file, without asking whether a model fits it. Raises `StartupError` with the line
    at fault.
    """
    probes: dict[int, Probe] = {}
    found = ProbeFile(file, probes)
    lines: dict[tuple[str, Format], int] = {}
    for number, content in enumerate(_content(file).split(b"\n"), 1):
        if not content.strip():
            continue
        if len(probes) == MAX_PROBES:
            raise found.fault(number, f"at most {MAX_PROBES} probes are taken")
        try:
            given = _Line.model_validate_json(content)
        except ValidationError as error:
            raise found.fault(number, _reason(error)) from None
        earlier = lines.setdefault((given.prompt, given.format), number)
        if earlier != number:
            raise found.fault(number, f"its prompt is that of line {earlier}")
        probes[number] = Probe(given.prompt, given.format, given.expect)
    if not probes:
        raise StartupError(f"ERRATA_PROBES {file} holds no probes")
    return found


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise StartupError(f"ERRATA_PROBES {file} can't be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise StartupError(f"ERRATA_PROBES {file} holds more than {MAX_BYTES >> 20} MiB")
    return content.removeprefix(codecs.BOM_UTF8)


def _reason(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    reasons = (
        ": ".join([*map(str, fault["loc"]), fault["msg"].removeprefix("Value error, ")])
        for fault in faults
    )
    # Of the one line that was read.
    return "; ".join(reasons).replace(" at line 1 column", " at column")
