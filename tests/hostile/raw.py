"""Requests as bytes: a client library would put right, or refuse to send, what these hold."""

import json
import socket
from dataclasses import dataclass
from typing import Any

WAITS_S = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]  # by their names in small letters
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(port: int, target: bytes, *headers: bytes, method: bytes = b"GET") -> Answer:
    """What is answered to a request without a body; `target` stands in its first line as it is."""
    hosts = [] if any(line.lower().startswith(b"host:") for line in headers) else [b"Host: errata"]
    head = [method + b" " + target + b" HTTP/1.1", *hosts, *headers, b"Connection: close"]
    with socket.create_connection(("127.0.0.1", port), timeout=WAITS_S) as client:
        client.sendall(b"\r\n".join(head) + b"\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    return _parsed(answer)


def _parsed(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return Answer(int(first.split()[1]), {name.lower(): value for name, value in pairs}, body)
