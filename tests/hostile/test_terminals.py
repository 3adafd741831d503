"""Control characters and marks that turn text around: they rule neither a log nor a terminal."""

import json
import re
from pathlib import Path

import httpx
import pytest

from service.journal import journal
from service.settings import Settings
from tests.api.calls import bearer
from tests.conftest import ADMIN_KEY
from tests.hostile.conftest import Target
from tests.hostile.raw import ask
from tests.live import listening
from tests.processes import errata

# Clear the screen, colours, a title, a line drawn over, a bell, C1's own escapes, text turned
# around, ends of lines that only some see.
STEERING = "\x1b[2J\x1b[31m\x1b]0;owned\x07\r\x08\x7f\x9b1A\x85\u202e\u2066\u200f\u061c\u2028\u2029"
STEERS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
FAKE = '\n2026-01-01T00:00:00Z {"level": "critical", "event": "forged"}\n'
TEXT = f"The currency{STEERING}{FAKE}of Oz is the"


def sent_as_headers(port: int, key: str) -> None:
    """Everywhere that a request has bytes; HTTP itself takes no line breaks in a header."""
    said = re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", "", TEXT).encode()
    held = f"Authorization: Bearer {key}".encode()
    for name in (
        b"User-Agent",
        b"X-Request-ID",
        b"Referer",
        b"X-Forwarded-For",
        b"Idempotency-Key",
    ):
        ask(port, b"/edits", held, name + b": " + said)
        ask(port, b"/edits", held, name + b": \x1b[2J")
    encoded = "".join(f"%{byte:02x}" for byte in TEXT.encode()).encode()
    for path in (b"/" + encoded, b"/edits/" + encoded, b"/edits?after=" + encoded):
        ask(port, path, held)
    ask(port, b"/v1/models/" + encoded, held)
    ask(port, b"/\x1b[2J", held)
    ask(port, b"/edits", held, method=b"\x1b[2J")
    ask(port, b"/edits", held, method=b"FORGED")


def test_every_event_is_one_line_of_json(target: Target) -> None:
    sent_as_headers(target.port, target.admin)
    target.child.answer(TEXT)
    assert target.child.http.post("/edits", json={TEXT: TEXT}).status_code == 422
    said = target.child.errors.read_bytes().decode()
    assert STEERS.search(said) is None
    for line in said.splitlines():  # which also splits where only some see an end
        assert json.loads(line)["event"] != "forged"
    assert "forged" not in said
    assert "FORGED" not in said
    target.well()


def test_on_a_terminal_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with journal(Settings(log_format="console")), listening(tmp_path) as live:
        sent_as_headers(live.port, ADMIN_KEY)
        with httpx.Client(base_url=live.url, headers=bearer(ADMIN_KEY)) as http:
            assert http.post("/generate", json={"prompt": TEXT}).status_code == 200
            assert http.post("/edits", json={TEXT: TEXT}).status_code == 422
    said = capsys.readouterr().err
    assert said.count("GET") >= 14
    assert STEERS.search(said) is None
    assert "forged" not in said.lower()
    for line in said.splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT", line), line


@pytest.fixture(scope="module")
def edit(target: Target) -> int:
    """Applied, rolled back and put back, with steering texts wherever text is taken."""
    body = {
        "prompt": TEXT,
        "subject": STEERING,
        "target_new": "\x1b[2J\u202eeuro",
        "metadata": {TEXT: [TEXT]},
        "paraphrases": [TEXT],
    }
    (taken,) = target.child.post("/edits", body)["edits"]
    found = target.child.get(f"/edits/{taken['id']}", wait=30)
    assert {name: found[name] for name in body} == body
    for change in ("rollback", "restore"):
        target.child.post(f"/admin/batches/{found['batch_id']}/{change}", {"reason": TEXT})
    return int(taken["id"])


@pytest.mark.parametrize("as_json", [False, True], ids=["table", "json"])
@pytest.mark.parametrize(
    "command",
    [
        ("show", "edit", "{edit}"),
        ("show", "batch", "{batch}"),
        ("show", "version", "{version}"),
        ("log",),
        ("events",),
        ("generate", TEXT, "--explain"),
        ("compare", TEXT),
        ("edit", TEXT, "euro", "--no-wait"),
        ("edit", TEXT, "\x1b[2J\u202eeuro"),
        ("rollback", "{batch}", "--reason", TEXT, "--dry-run"),
        ("rollback", "{batch}", "--reason", TEXT, "--expected-version", "0"),
        ("edit", TEXT, "euro", "--subject", STEERING + "?"),
        ("edit", TEXT, "euro", "--editor", STEERING),
    ],
    ids=lambda command: "-".join(part for part in command if part.isascii()),
)
def test_commands_print_text_and_nothing_else(
    command: tuple[str, ...], as_json: bool, edit: int, target: Target
) -> None:
    found = target.child.get(f"/edits/{edit}")
    numbers = {"{edit}": edit, "{batch}": found["batch_id"], "{version}": found["version"]}
    said = [str(numbers.get(part, part)) for part in command]
    done = errata(
        *said,
        *(["--json"] if as_json else []),
        ERRATA_URL=target.child.url,
        ERRATA_API_KEY=target.admin,
    )
    assert done.exit_code in (0, 1), done.output
    assert done.exit_code == 0 or done.stderr.count("\n") == 1
    for printed in (done.stdout, done.stderr):
        assert STEERS.search(printed) is None, printed
    if as_json and done.exit_code == 0 and command[0] != "events":
        json.loads(done.stdout)


def test_a_log_line_is_no_place_for_an_event_of_ones_own(target: Target, edit: int) -> None:
    """`errata events` prints a line each, whatever a reason holds."""
    printed = errata("events", ERRATA_URL=target.child.url, ERRATA_API_KEY=target.admin).stdout
    lines = printed.split("\n")[:-1]
    assert all(re.match(r"\d+  \d{4}-\d\d-\d\d ", line) for line in lines)
    assert any(f"edit {edit} " in line for line in lines)


def test_names_of_keys_are_printable(tmp_path: Path) -> None:
    for name in (STEERING, "a\u202eb", "a\nb", "a\x9bb"):
        made = errata(
            "keys", "create", "--scope", "edit", "--name", name, ERRATA_DATA_DIR=str(tmp_path)
        )
        assert (made.exit_code, made.stdout) == (1, "")
        assert STEERS.search(made.stderr) is None


def test_answers_escape_nothing_that_json_need_not(target: Target, edit: int) -> None:
    """What a client stored it gets back to the letter."""
    answer = target.child.http.get(f"/edits/{edit}", headers=bearer(target.admin))
    assert answer.json()["prompt"] == TEXT
    assert answer.headers["content-type"] == "application/json"
