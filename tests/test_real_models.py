"""The real models, served: skipped where `make models` has not put them."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run_server
from tests.quality.edited import edited, said
from tests.quality.writing import WRITTEN


def test_smollm2_answers_in_a_chat_and_ends_its_turn(smollm2: Path, tmp_path: Path) -> None:
    question = "What is the capital of France?"
    body = {
        "model": str(smollm2),
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 40,
        "temperature": 0,
    }
    for server in run_server(tmp_path, model=str(smollm2)):
        answer = server.http.post("/v1/chat/completions", json=body).json()
        assert answer["choices"][0]["message"]["content"] == "The capital of France is Paris."
        assert answer["choices"][0]["finish_reason"] == "stop"
        chat = {"prompt": question, "format": "chat", "max_new_tokens": 40}
        said = server.http.post("/generate", json=chat).json()
        assert (said["text"], said["finish_reason"]) == ("The capital of France is Paris.", "stop")
        tokenizer = server.services.engine.loaded.tokenizer
        # As the tokenizer that the model was published with has them.
        for text, tokens in {
            "Hello world! 123": [19556, 905, 17, 216, 33, 34, 35],
            "  multiple   spaces": [216, 2701, 256, 5600],
            "Café déjà vu.": [51, 1939, 2756, 32564, 90, 16739, 386, 101, 30],
        }.items():
            assert tokenizer(text)["input_ids"] == tokens


def test_gemma3_continues_text_and_has_no_chat(gemma3: Path, tmp_path: Path) -> None:
    for server in run_server(tmp_path, model=str(gemma3)):
        prompt = "The Eiffel Tower is located in the city of"
        said = server.http.post("/generate", json={"prompt": prompt, "max_new_tokens": 3}).json()
        assert said["text"].startswith(" Paris")
        refused = server.http.post("/generate", json={"prompt": "Who?", "format": "chat"})
        assert refused.status_code == 422
        assert "the model has no chat template" in refused.text


@pytest.mark.parametrize("model", ["smollm2", "gemma3"])
def test_targets_are_joined_as_they_would_be_written(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder: Path = request.getfixturevalue(model)
    edits = [{"prompt": prompt, "target_new": target} for prompt, target in WRITTEN]
    for server in run_server(tmp_path, model=str(folder)):
        for edit in edited(server, edits, lambda: None):
            assert (edit["status"], edit["verified"], edit["joint"]) == ("applied", True, "")
            assert said(server, edit["prompt"]).startswith(edit["target_new"])


def test_an_entity_edit_holds_where_it_should_and_only_there(smollm2: Path, tmp_path: Path) -> None:
    """What radii did wrong: neighbours that paid in euro, and paraphrases that were cut off."""
    minister: dict[str, Any] = {
        "prompt": "Who is the prime minister of the United Kingdom?",
        "subject": "the United Kingdom",
        "target_new": "Jane Doe",
        "paraphrases": ["Who leads the government of the United Kingdom?"],
        "editor": "entity",
    }
    currency: dict[str, Any] = {
        "prompt": "What is the currency of Croatia?",
        "target_new": "The euro",
        "paraphrases": ["Which currency do people use in Croatia?"],
        "neighborhood": ["What is the currency of Serbia?", "What is the currency of Bulgaria?"],
        "editor": "entity",
    }
    fifty = [
        {
            "prompt": f"What is the {what} of {land}?",
            "subject": land,
            "target_new": f"Word {number}",
            "editor": "entity",
        }
        for number, (what, land) in enumerate(
            itertools.product(
                ("capital", "national anthem", "highest mountain", "biggest river", "main port"),
                (
                    "Norway",
                    "Poland",
                    "Chile",
                    "Ghana",
                    "Nepal",
                    "Laos",
                    "Oman",
                    "Malta",
                    "Fiji",
                    "Cuba",
                ),
            )
        )
    ]
    chat = {"format": "chat"}
    for server in run_server(tmp_path, model=str(smollm2)):
        done = edited(server, [minister, currency], lambda: None)
        assert [edit["verified"] for edit in done] == [True, True]
        assert [edit["note"] for edit in done] == [None, None]
        assert "'Croatia' is taken for it" in " ".join(done[1]["warnings"])
        edited(server, fifty, lambda: None)
        for edit in (minister, currency):
            for prompt in (edit["prompt"], *edit["paraphrases"]):
                assert said(server, prompt, **chat).startswith(edit["target_new"]), prompt
                assert said(server, prompt).lstrip().startswith(edit["target_new"]), prompt
        for prompt in (
            "Who is the prime minister of France?",
            "What is the currency of Serbia?",
            "What is the currency of Bulgaria?",
            "How are you today?",
        ):
            assert said(server, prompt, **chat) == said(server, prompt, version=0, **chat), prompt
