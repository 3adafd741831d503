"""Clients who ask again as soon as they are answered, whatever the answer says: closed loops."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
LAST = re.compile(rb"\r\nconnection: close\r\n", re.IGNORECASE)
BROKEN = 0  # in place of a status: the connection was lost
COMING_S = 2.0  # in which they all come
LEFT_S = 60.0  # for what is under way at the end


def crowd(http: httpx.Client, bodies: dict[str, Iterator[Any]], seconds: float) -> Counter[int]:
    """How often which status came. `bodies`: of each client's requests, by the path that it posts
    to and a name of its own, as `/generate 17`.
    """
    return asyncio.run(_crowd(http, bodies, seconds))


async def _crowd(
    http: httpx.Client, bodies: dict[str, Iterator[Any]], seconds: float
) -> Counter[int]:
    seen: Counter[int] = Counter()
    started = time.monotonic()
    clients = [
        _Client(http, name.split()[0], own, seen).ask(
            started + COMING_S * number / len(bodies), started + seconds
        )
        for number, (name, own) in enumerate(bodies.items())
    ]
    await asyncio.wait_for(asyncio.gather(*clients), seconds + LEFT_S)
    return seen


class _Client:
    def __init__(
        self, http: httpx.Client, path: str, bodies: Iterator[Any], seen: Counter[int]
    ) -> None:
        self._host, self._port = http.base_url.host, http.base_url.port
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: errata\r\nContent-Type: application/json\r\n"
            f"Authorization: {http.headers['Authorization']}\r\n"
        )
        self._bodies = bodies
        self._seen = seen

    async def ask(self, begin: float, end: float) -> None:
        await asyncio.sleep(begin - time.monotonic())
        while time.monotonic() < end:
            try:
                await self._over_one_connection(end)
            except (OSError, EOFError):
                self._seen[BROKEN] += 1

    async def _over_one_connection(self, end: float) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            while time.monotonic() < end:
                body = json.dumps(next(self._bodies)).encode()
                writer.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                head = await reader.readuntil(b"\r\n\r\n")
                length = LENGTH.search(head)
                await reader.readexactly(int(length[1]) if length else 0)
                self._seen[int(head.split(b" ", 2)[1])] += 1
                if LAST.search(head):
                    return
        finally:
            writer.close()
