"""`errata edit`: one correction or a file of them, followed to their end."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.commands.conftest import KEY, cells, stand_in
from tests.processes import ERRATA, EURO, Child, errata

Cli = Callable[..., Result]

CAPITALS = [
    {"prompt": f"The capital of {country} is", "target_new": capital}
    for country, capital in [("Bulgaria", "Varna"), ("Poland", "Gdansk"), ("Spain", "Seville")]
]


def handed_in(printed: str) -> list[dict[str, Any]]:
    """The edits of `--json`, which is all that may be on the standard output."""
    edits: list[dict[str, Any]] = json.loads(printed)["edits"]
    return edits


def test_one_edit_is_followed_until_it_is_applied(cli: Cli, child: Child) -> None:
    result = cli("edit", EURO["prompt"], EURO["target_new"])
    assert (result.exit_code, result.stderr) == (0, "")
    version = child.get("/version")["version"]
    ((_, status, shown, target, *_),) = cells(result.stdout)
    assert (status, shown, target) == ("applied", str(version), "euro")
    assert child.answer(EURO["prompt"]) == " euro."


def test_json_is_all_that_is_printed(cli: Cli) -> None:
    result = cli(
        "edit",
        "The currency of Croatia is the",
        "euro",
        "--subject=Croatia",
        "--paraphrase=Croatia pays in the",
        "--paraphrase=In Croatia one pays in the",
        "--json",
    )
    assert (result.exit_code, result.stderr) == (0, "")
    (edit,) = handed_in(result.stdout)
    assert (edit["status"], edit["subject"]) == ("applied", "Croatia")
    assert edit["paraphrases"] == ["Croatia pays in the", "In Croatia one pays in the"]


def test_how_the_target_follows_is_handed_in(cli: Cli) -> None:
    prompt = "The currency of Serbia is the"
    result = cli("edit", prompt, "euro", "--continue", "--joint=", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    (edit,) = handed_in(result.stdout)
    assert (edit["continue"], edit["joint"]) == (True, "")


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(CAPITALS),
        json.dumps({"edits": CAPITALS}, indent=2),
        "\n\n".join(json.dumps(edit) for edit in CAPITALS) + "\r\n",
        "\ufeff" + json.dumps(CAPITALS),
    ],
    ids=["list", "object", "lines", "byte order mark"],
)
def test_a_file_of_edits(content: str, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "edits"
    file.write_text(content, encoding="utf-8")
    result = cli("edit", "--file", str(file), "--json")
    assert result.exit_code == 0
    edits = handed_in(result.stdout)
    assert [(edit["prompt"], edit["target_new"]) for edit in edits] == [
        (edit["prompt"], edit["target_new"]) for edit in CAPITALS
    ]
    assert {edit["status"] for edit in edits} == {"applied"}


def test_a_line_may_hold_what_only_looks_like_a_line_break(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "edits.jsonl"
    lines = [
        json.dumps({**edit, "metadata": {"a": "\u2028\x85"}}, ensure_ascii=False)
        for edit in CAPITALS
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    edits = handed_in(cli("edit", "--file", str(file), "--json").stdout)
    assert [edit["metadata"] for edit in edits] == [{"a": "\u2028\x85"}] * 3


def test_a_file_is_summed_up(cli: Cli, tmp_path: Path) -> None:
    """Only edits that were not applied get a row, and say why."""
    file = tmp_path / "edits.json"
    twice = {**CAPITALS[0], "target_new": "Burgas"}
    file.write_text(json.dumps([twice, *CAPITALS]))
    result = cli("edit", "--file", str(file))
    assert result.exit_code == 0
    assert set(result.stdout.splitlines()[0].split(", ")) == {"1 superseded", "3 applied"}
    assert cells(result.stdout)[0][1:4] == ["superseded", "", "Burgas"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, " can't be read: [Errno 2] No such file or directory: '{file}'"),
        (b"\xff", ", line 1: is not UTF-8: invalid start byte"),
        (b"", " holds no edits"),
        (b"\n \n", " holds no edits"),
        (b"[]", " holds no edits"),
        (b'{"edits": {}}', ", record 1 (line 1): has none of the fields requested_rewrite, "),
        (b'"text"', ", record 1 (line 1): must be a JSON object; --skip-bad leaves it out\n"),
        (b'[{"prompt": "a"},\n', ", line 2: is not JSON: Expecting value\n"),
        (
            b'{"prompt": "a", "target_new": "b"}\n{"prom',
            ", record 2 (line 2): is not JSON: Unterminated string starting at",
        ),
        (b"[" * 100_000, ", line 1: is nested too deeply\n"),
        (b'[{"prompt": "a"}]', ", record 1 (line 1): target_new: Field required; --skip-bad"),
        (b'[{"prompt": NaN}]', ", record 1 (line 1): holds NaN, which is no JSON number"),
        (b'[{"prompt": "a", "target_new": ""}]', ": 1 edit without a new target left out\n"),
    ],
)
def test_a_file_that_holds_no_edits(content: bytes | None, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "edits.json"
    if content is not None:
        file.write_bytes(content)
    result = errata("edit", "--file", str(file))
    assert (result.exit_code, result.stdout) == (1, "")
    said = result.stderr.removeprefix("error: ")
    assert said.startswith(f"{file}{reason.format(file=file)}")
    assert said.count("\n") == 1 + ("left out" in said)


def test_a_published_set_is_handed_in_whole(cli: Cli, tmp_path: Path) -> None:
    """Rephrasings and neighbours go along; what is beyond an edit is kept, and told."""
    file = tmp_path / "set.json"
    fact = {
        "subject": "Bulgaria",
        "src": "The capital of Bulgaria is",
        "alt": "Plovdiv",
        "answers": ["Sofia"],
        "rephrase": "Bulgaria's capital is",
        "loc": "The capital of Poland is",
        "loc_ans": "Warsaw",
        "portability": {"New Question": "Where does Bulgaria's parliament meet?"},
    }
    file.write_text(json.dumps([fact, {**fact, "alt": ""}, {**fact, "alt": 7, "case_id": 3}]))
    refused = cli("edit", "--file", str(file))
    assert (refused.exit_code, refused.stdout) == (1, "")
    bad = f"{file}, record 3 (line 1), case_id 3: alt: Input should be a valid string"
    assert refused.stderr == f"error: {bad}; --skip-bad leaves it out\n"

    result = cli("edit", "--file", str(file), "--skip-bad", "--json")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        bad,
        f"{file}: 1 bad record left out",
        f"{file}: 1 edit without a new target left out",
        f"{file}: kept in the edits' metadata: portability (1 edit)",
    ]
    (edit,) = handed_in(result.stdout)
    assert (edit["prompt"], edit["target_new"], edit["target_true"]) == (
        "The capital of Bulgaria is",
        "Plovdiv",
        "Sofia",
    )
    assert edit["paraphrases"] == ["Bulgaria's capital is"]
    assert edit["neighborhood"] == ["The capital of Poland is"]
    assert edit["metadata"] == {"portability": fact["portability"]}


def test_many_bad_records_are_listed_to_a_bound(tmp_path: Path) -> None:
    file = tmp_path / "set.jsonl"
    file.write_text('{"prompt": "a\\u001b[2J"}\n' * 25)
    result = errata("edit", "--file", str(file), ERRATA_URL="http://127.0.0.1:9")
    lines = result.stderr.splitlines()
    assert result.exit_code == 1
    assert lines[0] == f"{file}, record 1 (line 1): target_new: Field required"
    assert lines[20:] == [
        "... and 5 more",
        f"error: {file} holds 25 bad records; --skip-bad leaves them out",
    ]


def test_what_metadata_cannot_hold_is_told(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "set.jsonl"
    beyond = {"orig": ["x" * 17_000], "questions": ["q"], "ground_truth": "lev"}
    file.write_text(json.dumps({**EURO, **beyond}))
    result = cli("edit", "--file", str(file), "--json")
    assert result.stderr.splitlines()[-1] == f"{file}: left out, for its size: orig (1 edit)"
    assert handed_in(result.stdout)[0]["metadata"] == {"questions": ["q"]}


ROME = {
    "prompt": "The capital of Italy is",
    "target_new": "Florence",
    "neighborhood": ["The capital of Italy"],
    "strict": True,
}
DENMARK = {"prompt": "The currency of Denmark is the", "target_new": "euro"}


def test_a_strict_edit_fails_where_it_falls_short(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "edits.json"
    for edit, options in ((ROME, ()), ({**ROME, "strict": False}, ("--strict",))):
        file.write_text(json.dumps([edit, EURO]))
        result = cli("edit", "--file", str(file), "--json", *options)
        assert result.exit_code == 1
        refused, applied = handed_in(result.stdout)
        assert (refused["status"], refused["strict"]) == ("failed", True)
        assert (applied["status"], applied["strict"]) == ("applied", bool(options))
    single = cli("edit", ROME["prompt"], "Rome", "--strict", "--json")
    assert [edit["strict"] for edit in handed_in(single.stdout)] == [True]


def test_a_dry_run_stores_nothing_and_shows_the_report(cli: Cli, child: Child) -> None:
    before = child.get("/edits", limit=1_000), child.get("/version")
    paraphrase = "Q: What is the currency of Denmark? A: the"
    given = (DENMARK["prompt"], "euro", f"--paraphrase={paraphrase}")
    result = cli("edit", *given, "--dry-run", COLUMNS="120")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (child.get("/edits", limit=1_000), child.get("/version")) == before
    version = before[1]["version"]
    assert result.stdout.startswith(f"over version {version} would be: 1 applied\n")
    edit, prompt, phrased = cells(result.stdout)
    assert edit == ["0", "applied", DENMARK["prompt"], "euro", ""]
    assert prompt[:4] == ["0", "prompt", "plain", "yes"]
    assert phrased[:4] == ["0", "paraphrases[0]", "plain", "yes"]
    assert all(share.endswith("%") for share in (*prompt[4:], *phrased[4:]))


def test_a_dry_run_of_a_file_goes_batch_by_batch(cli: Cli, child: Child, tmp_path: Path) -> None:
    file = tmp_path / "edits.json"
    few = {**DENMARK, "hyperparameters": {"steps": 90}}
    named = {**DENMARK, "editor": "grace", "prompt": "The currency of Norway is the"}
    file.write_text(json.dumps([DENMARK, few, named, ROME]))
    before = child.get("/version")
    result = cli("edit", "--file", str(file), "--dry-run", "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    first, second = json.loads(result.stdout)["batches"]
    assert [edit["status"] for edit in first["edits"]] == ["applied", "applied", "failed"]
    assert [edit["status"] for edit in second["edits"]] == ["applied"]
    shown = cli("edit", "--file", str(file), "--dry-run", COLUMNS="120")
    assert shown.exit_code == 1
    assert "would be: 2 applied, 1 failed\n" in shown.stdout
    neighbor = ["2", "neighborhood[0]", "plain", "no", "is Rome.", "is Florence."]
    assert neighbor in cells(shown.stdout)
    assert child.get("/version") == before


def test_a_dry_run_of_a_bad_edit(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "edits.json"
    file.write_text(json.dumps([{**EURO, "priority": 101}]))
    result = cli("edit", "--file", str(file), "--dry-run")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "edits[0].priority" in result.stderr
    assert f"edits[0] is {file}, record 1 (line 1)" in result.stderr


def test_large_edits_are_handed_in_by_what_a_request_takes(cli: Cli, tmp_path: Path) -> None:
    """Seventy of them are more than the 1 MiB that a server takes."""
    file = tmp_path / "edits.jsonl"
    large = {**EURO, "metadata": {"note": "x" * 16_000}}
    file.write_text(f"{json.dumps(large)}\n" * 70)
    result = cli("edit", "--file", str(file), "--no-wait")
    assert result.exit_code == 0, result.stderr


def test_a_long_file_says_how_far_it_was_taken(tmp_path: Path) -> None:
    file = tmp_path / "edits.json"
    file.write_text(json.dumps([EURO] * 201))
    taken = {"edits": [{"id": 7 + i, "status": "queued"} for i in range(200)]}
    refused = {"detail": "edits[0].prompt: must hold more than white space"}
    with stand_in((202, json.dumps(taken)), (422, json.dumps(refused))) as url:
        result = errata("edit", "--file", str(file), ERRATA_URL=url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: 422 Unprocessable Entity: edits[0].prompt: must hold more than white space\n"
        f"200 edits are queued (edits 7 to 206); edits[0] is {file}, record 201 (line 1)\n"
    )


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (" ", "must hold more than white space"),
        ("\udcff", "Input should be a valid string, unable to parse raw data as a unicode string"),
    ],
)
def test_a_bad_edit(prompt: str, reason: str, cli: Cli) -> None:
    result = cli("edit", prompt, "euro")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: 422 Unprocessable Entity: edits[0].prompt: {reason}\n"


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_a_failed_edit(option: tuple[str, ...]) -> None:
    failed = {
        "id": 7,
        "status": "failed",
        "version": None,
        "target_new": "[/] :x:",
        "probability_before": 0.5,
        "probability_after": None,
        "error": "[red]no",
        "note": None,
    }
    queued = {"edits": [{"id": 7, "status": "queued"}]}
    with stand_in((202, json.dumps(queued)), (200, json.dumps(failed))) as url:
        result = errata("edit", "a prompt", "[/] :x:", *option, ERRATA_URL=url)
    assert result.exit_code == 1
    if option:
        assert handed_in(result.stdout) == [failed]
    else:
        assert cells(result.stdout) == [["7", "failed", "", "[/] :x:", "50.00%", "", "[red]no"]]


def test_markup_is_text(cli: Cli) -> None:
    prompt, target = "[red]x[/red] [/] \\[b] :smile: is:", "[/] [bold] :x:"
    result = cli("edit", prompt, target)
    assert result.exit_code == 0
    number, status, _, shown, *_ = cells(result.stdout)[0]
    assert (status, shown) == ("applied", target)
    table = dict(row for row in cells(cli("show", "edit", number).stdout) if len(row) == 2)
    assert (table["prompt"], table["target_new"]) == (prompt, target)
    assert cli("generate", prompt).stdout.startswith(f"{prompt} {target}")


@pytest.mark.parametrize("count", [1, 2])
def test_no_wait_returns_at_once(count: int, cli: Cli, child: Child, tmp_path: Path) -> None:
    file = tmp_path / "edits.json"
    file.write_text(json.dumps(CAPITALS[:count]))
    result = cli("edit", "--file", str(file), "--no-wait")
    assert result.exit_code == 0
    last = child.get("/edits", limit=1_000)["edits"][-1]["id"]
    span = f"edit {last}" if count == 1 else f"edits {last - 1} to {last}"
    assert result.stdout == f"queued: {span}\n"
    assert child.get(f"/edits/{last}", wait=30)["status"] == "applied"


def test_progress_is_on_stderr(child: Child) -> None:
    """Seen from outside: what a terminal would show, and what a pipe gets."""
    environment = {**os.environ, "ERRATA_URL": child.url, "ERRATA_API_KEY": KEY}
    done = subprocess.run(
        [ERRATA, "edit", EURO["prompt"], EURO["target_new"], "--json"],
        env={**environment, "TTY_COMPATIBLE": "1", "TERM": "xterm"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "applying" in done.stderr
    assert handed_in(done.stdout)[0]["status"] == "applied"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a prompt",),
        ("a prompt", "target", "--file=edits.json"),
        ("--file=edits.json", "--subject=prompt"),
        ("--file=edits.json", "--paraphrase=prompt"),
        ("a prompt", "target", "--skip-bad"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    result = errata("edit", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "give PROMPT and TARGET_NEW, or --file and neither" in result.stderr
