"""Requests over HTTP, each over a connection that is kept."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import httpx

from tests.bench.load import Text, Traffic

FRAME = b"data: "
# Sends one request and notes when its tokens come.
Send = Callable[[httpx.AsyncClient, dict[str, Any], Text], Coroutine[Any, Any, None]]


async def streamed(http: httpx.AsyncClient, body: dict[str, Any], text: Text) -> None:
    rest = b""
    async with http.stream("POST", "/generate", json=body | {"stream": True}) as response:
        response.raise_for_status()
        async for chunk in response.aiter_raw():
            *frames, rest = (rest + chunk).split(b"\n\n")
            for frame in frames:
                if json.loads(frame.removeprefix(FRAME)).get("finish_reason") is None:
                    text.arrives()


async def whole(http: httpx.AsyncClient, body: dict[str, Any], text: Text) -> None:
    """Its tokens all come at its end."""
    response = await http.post("/generate", json=body)
    count = response.raise_for_status().json()["usage"]["completion_tokens"]
    text.arrived = [time.perf_counter()] * count


def over_http(
    http: httpx.Client, send: Send, body: dict[str, Any], prompts: Iterable[str], at_once: int
) -> Traffic:
    """Closed loop. `http`: of the server; `body`: of every request, beside its prompt."""
    return asyncio.run(_closed_loop(http, send, body, prompts, at_once))


async def _closed_loop(
    like: httpx.Client, send: Send, body: dict[str, Any], prompts: Iterable[str], at_once: int
) -> Traffic:
    left = iter(prompts)
    texts: list[Text] = []
    failed = 0

    async def work(http: httpx.AsyncClient) -> None:
        nonlocal failed
        for prompt in left:
            text = Text()
            try:
                await send(http, body | {"prompt": prompt}, text)
                texts.append(text)
            except httpx.HTTPError:
                failed += 1

    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    async with httpx.AsyncClient(
        base_url=like.base_url, headers=like.headers, timeout=300, limits=limits, trust_env=False
    ) as http:
        started = time.perf_counter()
        await asyncio.gather(*(work(http) for _ in range(at_once)))
        return Traffic.of(texts, time.perf_counter() - started, failed)
