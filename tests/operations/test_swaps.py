"""Versions come while texts are generated: each text is wholly of the one that it began with."""

import json
import threading
import time
from collections import defaultdict

import pytest

from tests.conftest import Server
from tests.operations.test_apply import apply

STREAMS = 32
SWAPS = 100
ASKED = {"prompt": "The currency of Bulgaria is the", "max_new_tokens": "12"}
LENGTHS = ("4", "8", "12")  # of texts, so that streams do not end all in the same pass


def streamed(server: Server, length: str) -> tuple[set[int], str]:
    """Which versions a stream names, and its text."""
    asked = ASKED | {"max_new_tokens": length, "stream": "true"}
    body = server.http.get("/generate", params=asked).text
    frames = [json.loads(line.removeprefix("data: ")) for line in body.split("\n\n") if line]
    assert frames[-1]["finish_reason"] == "length"
    return {frame["version"] for frame in frames}, "".join(frame["text"] for frame in frames)


def test_streams_keep_their_version_while_others_are_published(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.services.engine._generator, "_ends", frozenset())
    for target in ("euro", "yen"):
        apply(server, {"prompt": ASKED["prompt"], "target_new": target})
    done = threading.Event()
    found: list[tuple[set[int], str]] = []

    def serve(length: str) -> None:
        while not done.is_set():
            found.append(streamed(server, length))

    threads = [
        threading.Thread(target=serve, args=(LENGTHS[i % len(LENGTHS)],)) for i in range(STREAMS)
    ]
    for thread in threads:
        thread.start()
    try:
        for swap in range(SWAPS):
            what = "restore" if swap % 2 else "rollback"
            body = {"reason": "another version", "expected_version": 2 + swap}
            assert server.http.post(f"/admin/batches/2/{what}", json=body).is_success
            ended = len(found)
            while len(found) < ended + STREAMS / 8:  # let some begin and some end on it
                time.sleep(0.001)
    finally:
        done.set()
        for thread in threads:
            thread.join()

    texts = defaultdict(set)
    for versions, text in found:
        (version,) = versions
        texts[version].add(text)
    assert len(texts) > SWAPS / 5
    for version, said in texts.items():
        replay = server.http.get("/generate", params=ASKED | {"version": str(version)}).json()
        assert all(replay["text"].startswith(text) for text in said)
    assert {text[:4] for said in texts.values() for text in said} == {" eur", " yen"}
