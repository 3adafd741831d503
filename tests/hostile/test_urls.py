"""Addresses in every field that takes text: nothing follows them."""

import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.conftest import WATCHED, Target

FORMS = [
    "http://127.0.0.1:{}/a",
    "http://localhost:{}/a",
    "//127.0.0.1:{}/a",
    "ftp://127.0.0.1:{}/a",
    "${{jndi:ldap://127.0.0.1:{}/a}}",
    "{{{{ config.get('http://127.0.0.1:{}') }}}}",
    "![a](http://127.0.0.1:{}/a.png) <img src=http://127.0.0.1:{}/a>",
    "\\\\127.0.0.1@{}\\share file:///etc/passwd",
    '<!DOCTYPE a [<!ENTITY b SYSTEM "http://127.0.0.1:{}/">]>&b;',
]


@pytest.fixture
def lure() -> Iterator[socket.socket]:
    """Where the addresses lead: somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def texts(lure: socket.socket) -> list[str]:
    port = lure.getsockname()[1]
    return [form.format(*[port] * form.count("{}")) for form in FORMS]


@pytest.mark.usefixtures("alive")  # which looks at what the server connected to
def test_no_address_in_a_request_is_followed(target: Target, lure: socket.socket) -> None:
    http = target.child.http
    first = texts(lure)[0]
    edits = [
        {
            "prompt": text,
            "subject": text,
            "target_new": "//a" if text == first else "euro",  # longer ones take long
            "target_true": text,
            "paraphrases": [text],
            "neighborhood": [f"{text}#"],
            "metadata": {"callback_url": text, "webhook": [text]},
        }
        for text in texts(lure)
    ]
    for edit, queued in zip(
        edits, target.child.post("/edits", {"edits": edits})["edits"], strict=True
    ):
        found = target.child.get(f"/edits/{queued['id']}", wait=30)
        assert found["status"] in ("applied", "failed"), found
        assert {name: found[name] for name in edit} == edit
    for text in texts(lure):
        named = {"Referer": text, "Origin": text, "X-Forwarded-Host": text, "User-Agent": text}
        ask: dict[str, Any] = {"prompt": text, "max_new_tokens": 1}
        chat = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": text}}]}]
        said = [
            http.post("/generate", json={**ask, "stop": [text]}, headers=named),
            http.get("/generate", params=ask),
            http.post("/score", json={"prompt": text, "targets": [text]}),
            http.post("/compare", json=ask),
            http.post("/v1/completions", json={"model": "atlas", "prompt": text, "max_tokens": 1}),
            http.post("/v1/completions", json={"model": text, "prompt": "a"}),
            http.get(f"/v1/models/{text}"),
            http.post("/v1/chat/completions", json={"model": "atlas", "messages": chat}),
            http.post("/admin/rollback", json={"reason": text, "version": 10**9}),
        ]
        assert [answer.status_code for answer in said] == [200] * 5 + [404, 404, 400, 404]
    assert select.select([lure], [], [], 0)[0] == []


def test_what_a_program_connects_to_is_seen(tmp_path: Path, lure: socket.socket) -> None:
    """Else the test above would find nothing whatever happened."""
    seen, port = tmp_path / "seen", lure.getsockname()[1]
    code = f"""
import socket, subprocess, sys
from tests.hostile.watched import watch
watch({str(seen)!r})
socket.create_connection(("127.0.0.1", {port})).close()
subprocess.run([sys.executable, "--version"])
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=WATCHED.parents[2], stdout=subprocess.PIPE
    )
    events = [line.split()[0] for line in seen.read_text().splitlines()]
    assert {"socket.getaddrinfo", "socket.connect", "subprocess.Popen"} <= set(events)
    assert select.select([lure], [], [], 0)[0] == [lure]
