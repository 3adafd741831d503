"""Files of probes: what is wrong with one is told with its line."""

from pathlib import Path

import pytest

from service.domain.edits import Format
from service.domain.probes import Probe
from service.errors import StartupError
from service.operations.probe_file import MAX_BYTES, MAX_CHARACTERS, MAX_PROBES, read_probes

ROME = '{"prompt": "The capital of Italy is", "expect": "Rome"}'


def refusal(file: Path, content: str | bytes) -> str:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StartupError) as caught:
        read_probes(file)
    return str(caught.value).removeprefix(f"ERRATA_PROBES {file}")


def test_probes_are_read_by_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "probes.jsonl"
    chat = '{"prompt": "The capital of Italy is", "format": "chat"}'
    file.write_bytes(f"\ufeff{ROME}\r\n\n  {chat}".encode())
    assert read_probes(file).probes == {
        1: Probe("The capital of Italy is", expect="Rome"),
        3: Probe("The capital of Italy is", Format.CHAT),
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "Invalid JSON: EOF while parsing an object at column 1"),
        ('{"expect": "Rome"}', "prompt: Field required"),
        ('{"prompt": "a", "expects": "b"}', "expects: Extra inputs are not permitted"),
        ('{"prompt": 1}', "prompt: Input should be a valid string"),
        ('{"prompt": " "}', "prompt: must hold more than white space"),
        ('{"prompt": "a", "expect": ""}', "expect: must hold more than white space"),
        ('{"prompt": "a\\u0000"}', "prompt: must not hold NUL characters"),
        ('{"prompt": "a", "format": "html"}', "format: Input should be 'plain' or 'chat'"),
        (ROME, "its prompt is that of line 1"),
        (
            f'{{"prompt": "{"a" * (MAX_CHARACTERS + 1)}"}}',
            f"prompt: String should have at most {MAX_CHARACTERS} characters",
        ),
        (
            '{"expect": 1, "format": 2}',
            "prompt: Field required; format: Input should be 'plain' or 'chat'; "
            "expect: Input should be a valid string",
        ),
    ],
)
def test_a_bad_line_is_named(line: str, reason: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / "probes.jsonl", f"{ROME}\n\n{line}\n") == f", line 3: {reason}"


@pytest.mark.parametrize("line", [b"[]", b"\xff", b'{"prompt": "\\ud800"}', b"[" * 1_000])
def test_what_is_no_object_is_named(line: bytes, tmp_path: Path) -> None:
    assert refusal(tmp_path / "probes.jsonl", line).startswith(", line 1: ")


def test_there_are_not_too_many(tmp_path: Path) -> None:
    file = tmp_path / "probes.jsonl"
    lines = [f'{{"prompt": "{number}"}}' for number in range(MAX_PROBES + 1)]
    file.write_text("\n".join(lines[:-1]))
    assert len(read_probes(file).probes) == MAX_PROBES
    reason = f", line {MAX_PROBES + 1}: at most {MAX_PROBES} probes are taken"
    assert refusal(file, "\n".join(lines)) == reason


def test_a_file_that_holds_nothing_or_too_much(tmp_path: Path) -> None:
    file = tmp_path / "probes.jsonl"
    assert refusal(file, "\n \n") == " holds no probes"
    assert refusal(file, " " * (MAX_BYTES + 1)) == " holds more than 4 MiB"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="probes can't be read: No such file or directory"):
        read_probes(tmp_path / "probes")
