"""News of a pass reaches an event loop in one go."""

import asyncio
from unittest.mock import patch

import pytest

from service.engine.post import Post


def test_all_news_of_a_pass_wake_a_loop_once_and_keep_their_order() -> None:
    post, heard = Post(), list[int]()

    async def listen() -> int:
        loop = asyncio.get_running_loop()
        for news in range(3):
            post.put(loop, heard.append, news)
        with patch.object(loop, "call_soon_threadsafe", wraps=loop.call_soon_threadsafe) as wake:
            post.send()
            post.send()
        assert heard == []
        await asyncio.sleep(0)
        return wake.call_count

    assert asyncio.run(listen()) == 1
    assert heard == [0, 1, 2]


def test_a_closed_loop_is_told_nothing() -> None:
    post, loop = Post(), asyncio.new_event_loop()
    post.put(loop, print, "news")
    loop.close()
    post.send()
    with pytest.raises(RuntimeError, match="closed"):
        post.put(loop, print, "news")
