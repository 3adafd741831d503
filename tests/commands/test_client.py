"""When the server refuses, fails, or is not there: one line and an exit code."""

import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import typer

from service.commands.client import Client
from tests.commands.conftest import stand_in
from tests.processes import Child, errata


def test_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = errata("log", ERRATA_URL=f"http://127.0.0.1:{port}")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"error: no server answers at http://127.0.0.1:{port}: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("url", ["nonsense", "http://host:port", "ftp://127.0.0.1"])
def test_an_address_that_is_none(url: str) -> None:
    result = errata("log", ERRATA_URL=url)
    assert (result.exit_code, result.stdout) == (3, "")
    assert url in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("key", ["", "wrong", " "])
def test_a_key_that_opens_nothing(key: str, child: Child) -> None:
    result = errata("log", ERRATA_URL=child.url, ERRATA_API_KEY=key)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: 401 Unauthorized: a valid API key is required: Authorization: Bearer <key>; "
        "commands take it from ERRATA_API_KEY\n"
    )


def test_a_key_that_no_header_can_carry() -> None:
    result = errata("log", ERRATA_API_KEY="schlüssel")
    assert result.exit_code == 1
    assert result.stderr == "error: ERRATA_API_KEY holds characters that no key has\n"


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (500, '{"detail": "it failed"}', 3, "500 Internal Server Error: it failed"),
        (502, "<html>", 3, "502 Bad Gateway: <html>"),
        (404, '["[/red]"]', 1, '404 Not Found: ["[/red]"]'),
        (409, '{"detail": "[/] :smile: \\u001b[31m"}', 1, "409 Conflict: [/] :smile: \\x1b[31m"),
        (200, "<html>", 3, "what answers at {url} is not Errata"),
    ],
)
def test_what_a_server_says(status: int, body: str, code: int, message: str) -> None:
    with stand_in((status, body)) as url:
        result = errata("show", "edit", "1", "--json", ERRATA_URL=url)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == f"error: {message.format(url=url)}\n"


@pytest.mark.parametrize(
    "command",
    [
        ("log",),
        ("show", "edit", "1"),
        ("generate", "Peru", "--explain"),
        ("compare", "Peru"),
        ("edit", "Peru", "euro"),
        ("edit", "Peru", "euro", "--no-wait"),
        ("rollback", "1", "--reason", "x"),
        ("rollback", "1", "--reason", "x", "--dry-run"),
        ("events",),
    ],
    ids=lambda command: "-".join(command),
)
@pytest.mark.parametrize(
    "body",
    ["[]", "data: 3\n\n", '[{"edits": 3}]', "[" * 100_000, "data: " + "[" * 100_000],
    ids=lambda body: body[:8],
)
def test_what_answers_is_another_server(command: tuple[str, ...], body: str) -> None:
    with stand_in((200, body)) as url:
        result = errata(*command, ERRATA_URL=url)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"error: what answers at {url} is not Errata\n"


def test_threads_that_fail_together_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    refusing = httpx.MockTransport(lambda _: httpx.Response(429, json={"detail": "4 at once"}))
    with httpx.Client(transport=refusing, base_url="http://errata") as http:
        server = Client(http)
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(server.get, "/version") for _ in range(8)]
    assert {type(one.exception()) for one in asked} == {typer.Exit}
    assert capsys.readouterr().err == "error: 429 Too Many Requests: 4 at once\n"
