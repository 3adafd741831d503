"""OpenAI's own client, at a server that holds one edit and has a chat template."""

from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.api.calls import EURO, bearer
from tests.conftest import ADMIN_KEY
from tests.live import Live, listening
from tests.templates import CHATML


def client_of(live: Live, key: str = ADMIN_KEY) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{live.url}/v1",
        api_key=key,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )


@pytest.fixture(scope="package")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Version 1: the currency of Bulgaria is the euro, also as a user's question."""
    with listening(tmp_path_factory.mktemp("live"), max_generations=16, max_new_tokens=64) as live:
        live.services.engine.loaded.tokenizer.chat_template = CHATML
        with httpx.Client(
            base_url=live.url, headers=bearer(ADMIN_KEY), trust_env=False, timeout=60
        ) as http:
            edits = [EURO, {**EURO, "format": "chat"}]
            accepted = http.post("/edits", json={"edits": edits}).raise_for_status().json()
            for edit in accepted["edits"]:
                assert http.get(f"/edits/{edit['id']}?wait=30").json()["version"] == 1
        yield live


@pytest.fixture(scope="package")
def client(live: Live) -> Iterator[openai.OpenAI]:
    with client_of(live) as client:
        yield client
