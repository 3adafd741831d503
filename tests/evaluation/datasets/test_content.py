"""JSON in all the ways in which a file may hold edits, and in which it may be broken."""

import gzip
import json
from pathlib import Path

import pytest

from service.evaluation.datasets import DatasetError, content
from service.evaluation.datasets.content import Found, values

A, B = '{"prompt": "a"}', '{"prompt": "b"}'
BOTH = [{"prompt": "a"}, {"prompt": "b"}]


def found(file: Path) -> list[Found]:
    return list(values(file))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"[{A}, {B}]", (1, 1)),
        (f"\n[\r\n{A},\r\n\r\n{B}]\n", (3, 5)),
        (f'{{"edits":\n[{A},\n{B}]}}', (2, 3)),
        (f"{A}\n{B}", (1, 2)),
        (f"\n{A}\r\n\r\n \r\n{B}\r\n", (2, 5)),
        ('{\n"prompt": "a"\n}\n{\n"prompt": "b"\n}\n', (1, 4)),
    ],
    ids=["list", "pretty list", "wrapped", "lines", "windows lines", "pretty objects"],
)
def test_every_layout_tells_its_lines(text: str, lines: tuple[int, int], tmp_path: Path) -> None:
    for name, written in {
        "set.json": text.encode(),
        "set.jsonl": b"\xef\xbb\xbf" + text.encode(),
        "set.txt": gzip.compress(text.encode()),
    }.items():
        (tmp_path / name).write_bytes(written)
        assert [one.value for one in found(tmp_path / name)] == BOTH
        assert tuple(one.place.line for one in found(tmp_path / name)) == lines
        assert not any(one.flaw for one in found(tmp_path / name))


def test_what_only_looks_like_a_line_break_is_text(tmp_path: Path) -> None:
    file = tmp_path / "set"
    file.write_text('{"prompt": "a\u2028\x85b"}\n' * 2, encoding="utf-8")
    assert [one.value["prompt"] for one in found(file)] == ["a\u2028\x85b"] * 2


@pytest.mark.parametrize("text", ["", "\n \n", "[]", '{"edits": []}'])
def test_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "set").write_text(text)
    assert found(tmp_path / "set") == []


@pytest.mark.parametrize(
    ("record", "flaw"),
    [
        ('{"a": NaN}', "holds NaN, which is no JSON number"),
        ('{"a": -Infinity}', "holds -Infinity, which is no JSON number"),
        ('{"a": 1e999}', "holds 1e999, which is past all numbers"),
        ('{"a": {"b": 1, "b": 2}}', "holds the key 'b' twice"),
        ('{"a": "\\ud800"}', "holds a lone surrogate"),
        ('{"a": "\\ud83d\\ude00", "b": 1e9}', None),
    ],
)
@pytest.mark.parametrize("layout", ["[{},\n{}]", "{}\n{}"])
def test_flaws_are_the_records_own(
    record: str, flaw: str | None, layout: str, tmp_path: Path
) -> None:
    text = layout.replace("{}", "%s") % (record, A)
    (tmp_path / "set").write_text(text)
    assert [(one.place.line, one.flaw) for one in found(tmp_path / "set")] == [(1, flaw), (2, None)]


@pytest.mark.parametrize(
    "broken", ['{"prom', '{"prompt": "b",', "{prompt}", '{"a":' + "[" * 100_000, '{"a": 1']
)
def test_a_broken_line_is_that_records_fault(broken: str, tmp_path: Path) -> None:
    file = tmp_path / "set"
    for text in (f"{A}\n{broken}\n{B}", f"{A}\n{broken}"):
        file.write_text(text)
        good = [one.value for one in found(file) if one.flaw is None]
        ((line, flaw),) = [
            (one.place.line, one.flaw) for one in found(file) if one.flaw is not None
        ]
        assert line == 2
        assert flaw.startswith(("is not JSON: ", "is nested too deeply"))
        assert good == BOTH[: text.count("\n")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'[{"prompt": "a"},\n', ", line 2: is not JSON: Expecting value"),
        (b'[{"prompt": "a"},\n]', ", line 2: is not JSON: a list does not end with a comma"),
        (b'[{"a": 1}\n{"a": 1}]', ", line 2: is not JSON: expecting a comma or the list's end"),
        (b'[{"a": 1}]\n\nx', ", line 3: is not JSON: something follows the list"),
        (b'{"edits": [{"a": 1}],\n"x": 1}', ", line 1: `edits` stands in an object of its own"),
        (b'{"edits": [{"a": 1}]', ", line 1: is not JSON: expecting the object's end"),
        (b'{\n"prompt": nil\n}', ", line 2: is not JSON: Expecting value"),
        (b'"text" x', ", line 1: is not JSON: Expecting value"),
        (b"\n" + b"[" * 100_000, ", line 2: is nested too deeply"),
        (b'[\n{"a": ' + b"1" * 5_000 + b"}]", ", line 2: is not JSON: Exceeds the limit"),
        (b'[{"a":\n"\xff"}]', ", line 2: is not UTF-8: invalid start byte"),
        (b'\xff\xfe[\x00"\x00', ", line 1: is not UTF-8: invalid start byte"),
        (gzip.compress(b"[]" * 100)[:-9], " can't be read: Compressed file ended"),
        (gzip.compress(b"[]")[:10] + b"\xff" * 20, " can't be read: Error -3"),
    ],
)
def test_a_file_that_is_broken_says_where(content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "set"
    file.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        found(file)
    assert str(caught.value).startswith(f"{file}{reason}")
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.json can't be read: .*No such file"):
        found(tmp_path / "none.json")


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_bounded(packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MAX_BYTES", 1 << 20)
    text = json.dumps(["x" * (1 << 20)]).encode()
    (tmp_path / "set").write_bytes(gzip.compress(text) if packed else text)
    with pytest.raises(DatasetError, match="set holds more than 1 MiB: split it"):
        found(tmp_path / "set")
