"""Hooks of Schemathesis: what the document can't say of a request, or what would make it dear.

Each changes values that the document allows into others that it allows, and leaves all others as
they are: a request that was made wrong on purpose stays wrong.
"""

import json
import math
import os
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import schemathesis
from schemathesis import Case, HookContext

from tests.fuzz.server import MODEL_NAME, NEW_TOKENS

MODEL = os.environ[MODEL_NAME]
MAX_CHARACTERS = 65_536  # of the document
# The bundled model takes prompts of 255 tokens; a character has four at most.
PROMPT_CHARACTERS, TARGET_CHARACTERS, MESSAGE_CHARACTERS = 40, 12, 6
MAX_WAIT_S = 60
KEY = re.compile(r"[\x21-\x7e]{1,255}")
TRUE = {"true", "1", "on", "t", "y", "yes"}
LENGTHS = ("max_new_tokens", "max_tokens", "max_completion_tokens")
LONG = 1_000
NOBODYS = 2**31  # an id that is not given out here
numbers = count()


@schemathesis.hook
def before_load_schema(_context: HookContext, document: dict[str, Any]) -> None:
    """Bounds on length that take seconds to come up to; `tests/api/test_bad_input.py` does."""
    _drop_long(document)


def _drop_long(node: Any) -> None:
    if isinstance(node, dict):
        for name in ("maxLength", "maxItems"):
            if isinstance(node.get(name), int) and node[name] >= LONG:
                del node[name]
    for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _drop_long(one)


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    right = case.meta is not None and case.meta.generation.mode.is_positive
    if right:
        _fill(case.path_parameters)
    if isinstance(case.query, dict):
        _tame_query(case.operation.path, case.query)
    _make_unique(case)
    case.body = _whole(case.body)
    if isinstance(case.body, dict):
        for body in _with_edits(case.body):
            _tame(body)
        messages: Any = case.body.get("messages")
        if right and messages is not None:
            _shorten_conversation(messages)


def _fill(path: dict[str, Any]) -> None:
    """An id that the answer before it does not have, as a version's of no batch or of many."""
    for name, value in path.items():
        if value in (None, "None"):
            path[name] = NOBODYS


def _whole(value: Any) -> Any:
    """JSON Schema calls 1.0 an integer; the server does not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return value


def _make_unique(case: Case[Any]) -> None:
    """An idempotency key that comes twice needs the same body."""
    headers: Any = case.headers or {}
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and KEY.fullmatch(key):
        headers["Idempotency-Key"] = f"key-{next(numbers)}"


def _tame_query(path: str, query: dict[str, Any]) -> None:
    """No feed without an end, no long poll, no long text."""
    # Where it is not given, a feed goes on.
    if path == "/events" and str(query.get("follow", True)).lower() in TRUE:
        query["follow"] = "false"
    wait = _number(query.get("wait"))
    if wait is not None and 0 <= wait <= MAX_WAIT_S:
        query["wait"] = 0
    length = _number(query.get("max_new_tokens"))
    if length is not None and length > NEW_TOKENS and length.is_integer():
        query["max_new_tokens"] = NEW_TOKENS
    if "prompt" in query:
        query["prompt"] = _shortened(query["prompt"], PROMPT_CHARACTERS)


def _with_edits(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield body
    edits = body.get("edits")
    if isinstance(edits, list):
        yield from (edit for edit in edits if isinstance(edit, dict))


def _tame(body: dict[str, Any]) -> None:
    for name in LENGTHS:
        if _is_whole(body.get(name)) and body[name] > NEW_TOKENS:
            body[name] = NEW_TOKENS
    _shorten(body)
    _keep_to_one_family(body)
    _keep_to_openai(body)


def _shorten(body: dict[str, Any]) -> None:
    for name in ("prompt", "subject"):
        if name in body:
            body[name] = _shortened(body[name], PROMPT_CHARACTERS)
    for name in ("target_new", "target_true"):
        if name in body:
            body[name] = _shortened(body[name], TARGET_CHARACTERS)
    for name in ("paraphrases", "neighborhood", "targets"):
        if isinstance(body.get(name), list):
            body[name] = [_shortened(one, TARGET_CHARACTERS) for one in body[name]]
    # None may be a phrasing of the edit itself.
    if isinstance(body.get("neighborhood"), list):
        body["neighborhood"] = [
            f"{one} beside it" if isinstance(one, str) and one.strip() else one
            for one in body["neighborhood"]
        ]


def _keep_to_one_family(body: dict[str, Any]) -> None:
    """Edits that the log's first ones do not shut out."""
    if body.get("editor") in ("entity", "coachhook", "memit", "emmet", "rome", "r-rome"):
        body["editor"] = "grace"
    if isinstance(body.get("hyperparameters"), dict):
        body["hyperparameters"] = {}
    # The document can't say what metadata may hold.
    if isinstance(body.get("metadata"), dict) and r"\u0000" in json.dumps(body["metadata"]):
        body["metadata"] = {}
    subject, prompt = body.get("subject"), body.get("prompt")
    if isinstance(subject, str) and subject.strip() and isinstance(prompt, str):
        body["subject"] = prompt


def _keep_to_openai(body: dict[str, Any]) -> None:
    """What goes together, and a model that there is."""
    if isinstance(body.get("model"), str) and len(body["model"]) <= MAX_CHARACTERS:
        body["model"] = MODEL
    if body.get("max_tokens") is not None and _is_whole(body.get("max_completion_tokens")):
        body["max_completion_tokens"] = None
    if _is_whole(body.get("top_logprobs")) and body.get("logprobs") in (None, False):
        body["logprobs"] = True
    if isinstance(body.get("stream_options"), dict) and body.get("stream") in (None, False):
        body["stream"] = True
    if isinstance(body.get("prompt"), list):
        body["prompt"] = [_known(one) for one in body["prompt"]]


def _shorten_conversation(messages: list[dict[str, Any]]) -> None:
    """Of a right one: it is bounded as a whole, in tokens."""
    del messages[3:]
    for message in messages:
        if isinstance(message["content"], list):
            del message["content"][2:]
            for part in message["content"]:
                part["text"] = part["text"][:MESSAGE_CHARACTERS]
        else:
            message["content"] = message["content"][:MESSAGE_CHARACTERS]


def _known(prompt: object) -> object:
    """Tokens that the model has."""
    if isinstance(prompt, list):
        return [_known(one) for one in prompt]
    if isinstance(prompt, int) and _is_whole(prompt):
        return min(prompt, 255)
    return _shortened(prompt, TARGET_CHARACTERS)


def _shortened(text: object, most: int) -> object:
    """A right text's first characters."""
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_CHARACTERS:
        return text
    return text if len(text) <= most else text.strip()[:most]


def _number(given: object) -> float | None:
    try:
        number = float(str(given))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
