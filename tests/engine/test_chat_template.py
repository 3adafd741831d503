"""A chat template is known by what a chat becomes, from whichever file it is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.atlas import MODEL_DIR
from service.engine.chat_template import chat_template_of, digest_of
from service.engine.vocabulary import tokenizer_in
from tests.templates import CHATML

OTHER = "{{ messages[0]['content'] }}"
NAMED = "{{ bos_token }}{{ messages[0]['content'] }}"
Change = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Writes atlas's tokenizer, which has no template."""
    made = tmp_path / "model"
    made.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copy(MODEL_DIR / name, made / name)
    return made


def configured(**values: Any) -> Change:
    def change(folder: Path) -> None:
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return change


def listed(**templates: str) -> Change:
    found = [{"name": name, "template": text} for name, text in templates.items()]
    return configured(chat_template=found)


def written(name: str, text: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return change


def jinja(text: str) -> Change:
    return written("chat_template.jinja", text)


def digest(folder: Path, *changes: Change) -> str:
    for change in changes:
        change(folder)
    return digest_of(tokenizer_in(folder))


SAME = [
    [configured(chat_template=CHATML)],
    [listed(default=CHATML, tool_use=OTHER)],
    [jinja(CHATML)],
    [configured(chat_template=OTHER), jinja(CHATML)],  # the file goes before
    [jinja(CHATML), written("additional_chat_templates/rag.jinja", OTHER)],
    [jinja(CHATML), written("chat_template.json", json.dumps({"chat_template": OTHER}))],
    [jinja(CHATML), configured(bos_token="<|other|>")],  # which this template does not name
]


@pytest.mark.parametrize("changes", SAME)
def test_one_template_is_one_wherever_it_is_from(changes: list[Change], folder: Path) -> None:
    found = digest(folder, *changes)
    assert chat_template_of(tokenizer_in(folder)) == CHATML
    plain = tokenizer_in(MODEL_DIR)
    plain.chat_template = CHATML
    assert found == digest_of(plain)
    assert len(found) == 64


NONE = [
    [],
    [configured(chat_template="")],
    [listed(tool_use=CHATML)],  # which chats do not go through
    [written("chat_template.json", json.dumps({"chat_template": CHATML}))],
]


@pytest.mark.parametrize("changes", NONE)
def test_where_there_is_none(changes: list[Change], folder: Path) -> None:
    assert digest(folder, *changes) == ""
    assert chat_template_of(tokenizer_in(folder)) is None


def test_another_text_or_special_token_is_another_template(folder: Path) -> None:
    found = [
        digest(folder, jinja(CHATML)),
        digest(folder, jinja(CHATML + " ")),
        digest(folder, jinja(OTHER)),
        digest(folder, jinja(NAMED)),
        digest(folder, configured(bos_token="<|other|>")),
    ]
    assert len(set(found)) == len(found)
