"""What a server is asked for the scope of its edits: a stand-in notes every request."""

from collections import defaultdict
from typing import Any

import pytest

from service.evaluation.answers import EARLIER_ANSWER, EARLIER_QUESTION, INSTRUCTIONS
from service.evaluation.datasets import Neighbor, Record
from service.evaluation.measure import scope_of
from service.evaluation.scope import Scope
from service.evaluation.server import Asker

RECORDS = [
    Record(
        "The capital of Peru is",
        "Quito",
        "Peru",
        ("Lima",),
        ("Peru is governed from", "Peru's capital is"),
        (Neighbor("The capital of Chile is"),),
    ),
    Record("In Chad, people pay with the", "euro", "Chad", ("franc",)),
]


class StandIn:
    """Knows the first record's edit in every form, and nothing of the second's. Neighbours and
    unrelated texts go on as before, mixtures do not.
    """

    def __init__(self, *, chats: bool, system_messages: bool = True) -> None:
        self._about = {"model": "m", "chats": chats, "system_messages": system_messages}
        self.asked: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    def get(self, path: str, **_: Any) -> Any:
        assert path == "/version"
        return self._about

    def post(self, path: str, body: dict[str, Any]) -> Any:
        self.asked[path].append(body)
        answer = " Quito." if "Peru" in str(body) else "Quito"
        return {
            "/score": {"scores": [{"tokens": 2}]},
            "/generate": {"text": answer},
            "/v1/chat/completions": {"choices": [{"message": {"content": answer}}]},
            "/compare": {"same": "Peru" not in str(body) and "Chad" not in str(body)},
        }[path]


def measured(server: StandIn, given: int = 0) -> Scope:
    return scope_of(Asker(server, 1, lambda *_: None), RECORDS, given)


def test_a_model_without_a_chat_template() -> None:
    server = StandIn(chats=False)
    assert measured(server) == Scope(0.5, 1.0, 0.5, None, 1.0, 0.0, 0.0, 1.0)
    assert not server.asked["/v1/chat/completions"]
    assert server.asked["/generate"][0] == {
        "prompt": "The capital of Peru is",
        "temperature": 0,
        "max_new_tokens": 6,  # those of the target, and four
    }
    prompts = [body["prompt"] for body in server.asked["/generate"]]
    assert len(prompts) == 2 + 2 + 2
    assert prompts[-1].startswith(INSTRUCTIONS)
    assert prompts[-1].endswith(f"A: {EARLIER_ANSWER}\n{RECORDS[1].prompt}")
    assert server.asked["/compare"][:3] == [
        {"prompt": prompt, "left": 0, "max_new_tokens": 8}
        for prompt in (
            "The capital of Chile is",
            "The capital of Chad is",
            "In Peru, people pay with the",
        )
    ]


@pytest.mark.parametrize("system_messages", [True, False])
def test_a_model_with_one(system_messages: bool) -> None:
    server = StandIn(chats=True, system_messages=system_messages)
    assert measured(server) == Scope(0.5, 1.0, 0.5, 0.5, 1.0, 0.0, 0.0, 1.0)
    assert len(server.asked["/generate"]) == 2 + 2
    behind, _, alone, _ = server.asked["/v1/chat/completions"]
    assert (behind["model"], behind["temperature"], behind["max_tokens"]) == ("m", 0, 6)
    roles = [message["role"] for message in behind["messages"]]
    assert roles == ["system"] * system_messages + ["user", "assistant", "user"]
    assert EARLIER_QUESTION in behind["messages"][-3]["content"]
    assert behind["messages"][-1] == alone["messages"][0]
    assert alone["messages"] == [{"role": "user", "content": "The capital of Peru is"}]


def test_what_there_is_none_of_has_no_share() -> None:
    found = measured(StandIn(chats=False), given=2)
    assert (found.prompt, found.paraphrase) == (0.5, None)
