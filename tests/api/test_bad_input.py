"""Whatever a client sends, the answer says what is wrong with which field, and the server lives."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.calls import EURO, PROMPT, refused, say
from tests.conftest import Server

JSON = {"Content-Type": "application/json"}
SURROGATE = r'"\ud800"'
SCORE = {"prompt": PROMPT, "targets": ["euro"]}
WHY = {"reason": "a wrong source"}
# Each route that takes a body, with one that is right but for what a test changes.
BODIES: dict[str, dict[str, Any]] = {
    "/edits": EURO,
    "/generate": {"prompt": PROMPT},
    "/score": SCORE,
    "/compare": {"prompt": PROMPT},
    "/admin/batches/99/rollback": WHY,
    "/admin/batches/99/restore": WHY,
    "/admin/edits/99/rollback": WHY,
    "/admin/rollback": {**WHY, "version": 99},
    "/admin/repair": WHY,
}
every_body = pytest.mark.parametrize("path", BODIES)

TEXT = "parse raw data as a unicode string"
SPACE = "must hold more than white space"
NUL = "must not hold NUL characters"
MORE = "Extra inputs are not permitted"
OBJECT = "must be a JSON object"
MISSING = "Field required"
STRING = "Input should be a valid string"
EDITORS = "Input should be 'entity', 'grace', 'coachhook', 'memit', 'emmet', 'rome' or 'r-rome'"
WHOLE = "Input should be a valid integer"
LISTED = "Input should be a valid list"
LONG = "String should have at most 65536 characters"
ABOVE = "less than"
BELOW = "greater than or equal to"


@pytest.fixture(autouse=True)
def _unharmed(shared_server: Server) -> Iterator[None]:
    """After each of these requests the server works, and nothing was taken."""
    yield
    assert say(shared_server.http) == " lev."
    assert shared_server.http.get("/edits").json() == {"edits": [], "next": None}
    assert len(shared_server.http.get("/versions").json()["versions"]) == 1


def with_raw(path: str, field: str, raw: str) -> str:
    """The right body of `path` with `raw`, a piece of JSON, as one of its fields."""
    fields = {name: json.dumps(value) for name, value in BODIES[path].items()} | {field: raw}
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in fields.items()) + "}"


@every_body
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b'{"prompt": ', "is not JSON: Expecting value", id="cut off"),
        pytest.param(b"{'prompt': 1}", "is not JSON: Expecting property name", id="not JSON"),
        pytest.param(b'{"prompt": "\xff"}', "is not JSON: 'utf-8' codec", id="not UTF-8"),
        pytest.param(b"[" * 100_000, "is nested too deeply", id="deep lists"),
        pytest.param(b'{"a":' * 100_000, "is nested too deeply", id="deep objects"),
        pytest.param(b'{"a": %s}' % (b"9" * 5_000), "is not JSON: Exceeds the limit", id="digits"),
        pytest.param(b"[]", OBJECT, id="a list"),
        pytest.param(b"null", "", id="null"),
        pytest.param(b"7", OBJECT, id="a number"),
        pytest.param(b'"text"', OBJECT, id="a string"),
        pytest.param(b"", "", id="empty"),
    ],
)
def test_a_body_that_is_no_json_object(
    content: bytes, reason: str, path: str, shared_server: Server
) -> None:
    answer = shared_server.http.post(path, content=content, headers=JSON)

    problem = refused(answer, 422, "body")
    assert problem["errors"][0]["reason"].startswith(reason)


@every_body
@pytest.mark.parametrize("raw", ["1", SURROGATE, "NaN", "{}", "[" * 50 + "]" * 50])
def test_unknown_fields(raw: str, path: str, shared_server: Server) -> None:
    answer = shared_server.http.post(path, content=with_raw(path, "colour", raw), headers=JSON)

    problem = refused(answer, 422, "body" if (path, raw) == ("/edits", "NaN") else "colour")
    assert problem["errors"][0]["reason"] in (MORE, "is not JSON: NaN is not a JSON number")


@every_body
def test_a_field_whose_name_is_no_text(path: str, shared_server: Server) -> None:
    content = '{"edits": [], "\\ud800": 1}' if path == "/edits" else '{"\\ud800": 1}'

    answer = shared_server.http.post(path, content=content, headers=JSON)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


FIELDS = [
    # path, field, its JSON, the field named, why
    ("/edits", "prompt", '""', "prompt", SPACE),
    ("/edits", "prompt", r'" \t\n\u3000"', "prompt", SPACE),
    ("/edits", "prompt", "null", "prompt", STRING),
    ("/edits", "prompt", "17", "prompt", STRING),
    ("/edits", "prompt", '["a"]', "prompt", STRING),
    ("/edits", "prompt", "[" * 500 + "]" * 500, "prompt", STRING),
    ("/edits", "prompt", SURROGATE, "prompt", TEXT),
    ("/edits", "prompt", r'"a\u0000b"', "prompt", NUL),
    ("/edits", "prompt", '"%s"' % ("a" * 65_537), "prompt", LONG),
    (
        "/edits",
        "prompt",
        '"%s"' % (" the" * 256),
        "prompt",
        "has 256 tokens, at most 255 are taken",
    ),
    ("/edits", "prompt", '"%s"' % (" the" * 255 + " "), "prompt", "has 256 tokens, at most 255"),
    ("/edits", "target_new", '""', "target_new", SPACE),
    ("/edits", "target_new", '" "', "target_new", SPACE),
    ("/edits", "target_new", "true", "target_new", STRING),
    ("/edits", "target_new", SURROGATE, "target_new", TEXT),
    ("/edits", "target_new", r'"euro\u0000"', "target_new", NUL),
    ("/edits", "target_new", '"%s"' % ("a" * 65_537), "target_new", LONG),
    ("/edits", "target_new", '"%s"' % (" the" * 65), "target_new", "has 65 tokens, at most 64"),
    ("/edits", "target_true", '"%s"' % (" the" * 65), "target_true", "has 65 tokens, at most 64"),
    ("/edits", "target_true", '""', "target_true", SPACE),
    ("/edits", "subject", '"Romania"', "subject", "is not a span of the prompt"),
    ("/edits", "subject", '"bulgaria"', "subject", "is not a span of the prompt"),
    ("/edits", "subject", '" "', "subject", SPACE),
    ("/edits", "subject", SURROGATE, "subject", TEXT),
    ("/edits", "paraphrases", '"text"', "paraphrases", LISTED),
    ("/edits", "paraphrases", "null", "paraphrases", LISTED),
    ("/edits", "paraphrases", '["a", ""]', "paraphrases[1]", SPACE),
    ("/edits", "paraphrases", f"[{SURROGATE}]", "paraphrases[0]", TEXT),
    ("/edits", "paraphrases", json.dumps(["a", " the" * 256]), "paraphrases[1]", "has 256 tokens"),
    ("/edits", "paraphrases", json.dumps(["a"] * 33), "paraphrases", "at most 32 items"),
    ("/edits", "neighborhood", '["a", 1]', "neighborhood[1]", STRING),
    ("/edits", "neighborhood", json.dumps(["a", PROMPT]), "neighborhood[1]", "of the edit itself"),
    ("/edits", "neighborhood", json.dumps([" the" * 256]), "neighborhood[0]", "has 256 tokens"),
    ("/edits", "neighborhood", json.dumps(["a"] * 65), "neighborhood", "at most 64 items"),
    ("/edits", "metadata", "[]", "metadata", OBJECT),
    ("/edits", "metadata", "null", "metadata", OBJECT),
    ("/edits", "metadata", '{"a": 1e999}', "metadata", "must hold no NaN and no infinity"),
    ("/edits", "metadata", '{"a": Infinity}', "body", "Infinity is not a JSON number"),
    ("/edits", "metadata", '{"a": -Infinity}', "body", "-Infinity is not a JSON number"),
    ("/edits", "metadata", '{"a": NaN}', "body", "NaN is not a JSON number"),
    ("/edits", "metadata", f'{{"a": [{SURROGATE}]}}', "metadata", "must not hold lone surrogates"),
    ("/edits", "metadata", f"{{{SURROGATE}: 1}}", "metadata", "must not hold lone surrogates"),
    ("/edits", "metadata", r'{"a": "\u0000"}', "metadata", NUL),
    ("/edits", "metadata", r'{"\\\u0000": 1}', "metadata", NUL),
    ("/edits", "metadata", '{"a": "%s"}' % ("b" * 16_376), "metadata", "has 16385 bytes as JSON"),
    ("/edits", "metadata", '{"a": %s}' % ("[" * 32 + "]" * 32), "metadata", "more than 32 levels"),
    ("/edits", "metadata", '{"a": %s}' % ("[" * 900 + "]" * 900), "metadata", "more than 32"),
    ("/edits", "editor", '"memit"', "subject", "'memit' goes by it: name the span"),
    ("/edits", "editor", '"Grace"', "editor", EDITORS),
    ("/edits", "editor", "1", "editor", EDITORS),
    ("/edits", "editor", SURROGATE, "editor", STRING),
    ("/edits", "format", '"markdown"', "format", "Input should be 'plain', 'chat' or 'both'"),
    ("/edits", "format", '"chat"', "format", "the model has no chat template"),
    ("/generate", "format", '"chat"', "format", "the model has no chat template"),
    ("/score", "format", '"chat"', "format", "the model has no chat template"),
    ("/compare", "format", '"chat"', "format", "the model has no chat template"),
    ("/edits", "hyperparameters", "[]", "hyperparameters", OBJECT),
    (
        "/edits",
        "hyperparameters",
        '{"layer": 8}',
        "hyperparameters.layer",
        "the model has no layer 8; it has 0 to 5",
    ),
    (
        "/edits",
        "hyperparameters",
        '{"radius": -1}',
        "hyperparameters.radius",
        "greater than 0",
    ),
    (
        "/edits",
        "hyperparameters",
        '{"module": "mlp.gate"}',
        "hyperparameters.module",
        "layer 4 has no module 'mlp.gate'; it has: ln_1",
    ),
    (
        "/edits",
        "hyperparameters",
        '{"layers": [3]}',
        "hyperparameters.layers",
        "'grace' has no such one",
    ),
    ("/edits", "hyperparameters", '{"scope": "all"}', "hyperparameters.scope", "'phrasings' or"),
    ("/edits", "hyperparameters", '{"noise": 1}', "hyperparameters.noise", "less than 1"),
    ("/edits", "joint", '"  "', "joint", "Input should be '' or ' '"),
    ("/edits", "joint", "1", "joint", "Input should be '' or ' '"),
    ("/edits", "continue", '"yes"', "continue", "valid boolean"),
    ("/edits", "continue", "1", "continue", "valid boolean"),
    ("/edits", "continues", "true", "continues", MORE),
    ("/edits", "strict", '"yes"', "strict", "valid boolean"),
    ("/edits", "strict", "1", "strict", "valid boolean"),
    ("/edits", "priority", "101", "priority", ABOVE),
    ("/edits", "priority", "-101", "priority", BELOW),
    ("/edits", "priority", "true", "priority", WHOLE),
    ("/edits", "priority", '"1"', "priority", WHOLE),
    ("/edits", "priority", "1.0", "priority", WHOLE),
    ("/edits", "priority", str(2**63), "priority", ABOVE),
    ("/edits", "priority", "9" * 4_000, "priority", ABOVE),
    ("/generate", "prompt", '""', "prompt", SPACE),
    ("/generate", "prompt", SURROGATE, "prompt", TEXT),
    ("/generate", "prompt", r'"\u0000"', "prompt", NUL),
    ("/generate", "prompt", '"%s"' % ("a" * 65_537), "prompt", LONG),
    ("/generate", "prompt", "1", "prompt", STRING),
    ("/generate", "max_new_tokens", "0", "max_new_tokens", BELOW),
    ("/generate", "max_new_tokens", "513", "max_new_tokens", "at most 512 are generated"),
    ("/generate", "max_new_tokens", str(2**63), "max_new_tokens", "at most 512 are generated"),
    ("/generate", "max_new_tokens", "true", "max_new_tokens", WHOLE),
    ("/generate", "max_new_tokens", '"1"', "max_new_tokens", WHOLE),
    ("/generate", "max_new_tokens", "1.0", "max_new_tokens", WHOLE),
    ("/generate", "max_new_tokens", "NaN", "max_new_tokens", WHOLE),
    ("/generate", "max_new_tokens", "Infinity", "max_new_tokens", WHOLE),
    ("/generate", "version", "-1", "version", BELOW),
    ("/generate", "version", "true", "version", WHOLE),
    ("/generate", "version", '"0"', "version", WHOLE),
    ("/generate", "version", str(2**63), "version", ABOVE),
    ("/generate", "version", "9" * 4_000, "version", ABOVE),
    ("/score", "targets", "[]", "targets", "at least 1 item"),
    ("/score", "targets", json.dumps(["a"] * 65), "targets", "at most 64 items"),
    ("/score", "targets", '"euro"', "targets", LISTED),
    ("/score", "targets", '["euro", ""]', "targets[1]", SPACE),
    ("/score", "targets", f'["euro", {SURROGATE}]', "targets[1]", TEXT),
    ("/score", "targets", '["euro", 1]', "targets[1]", STRING),
    ("/score", "prompt", '""', "prompt", SPACE),
    ("/score", "version", "-1", "version", BELOW),
    ("/compare", "left", "null", "left", WHOLE),
    ("/compare", "left", "-1", "left", BELOW),
    ("/compare", "right", "true", "right", WHOLE),
    ("/compare", "right", str(2**63), "right", ABOVE),
    ("/compare", "max_new_tokens", "513", "max_new_tokens", "at most 512 are generated"),
    ("/admin/batches/99/rollback", "reason", '""', "reason", SPACE),
    ("/admin/batches/99/rollback", "reason", "null", "reason", STRING),
    ("/admin/batches/99/rollback", "reason", SURROGATE, "reason", TEXT),
    ("/admin/batches/99/rollback", "reason", r'"\u0000"', "reason", NUL),
    ("/admin/batches/99/rollback", "reason", '"%s"' % ("a" * 1_001), "reason", "at most 1000"),
    ("/admin/batches/99/restore", "reason", '" "', "reason", SPACE),
    ("/admin/batches/99/restore", "expected_version", "-1", "expected_version", BELOW),
    ("/admin/batches/99/restore", "expected_version", "true", "expected_version", WHOLE),
    ("/admin/edits/99/rollback", "reason", '""', "reason", SPACE),
    ("/admin/edits/99/rollback", "expected_version", "1.5", "expected_version", WHOLE),
    ("/admin/rollback", "reason", '""', "reason", SPACE),
    ("/admin/rollback", "version", "null", "version", WHOLE),
    ("/admin/rollback", "version", "-1", "version", BELOW),
    ("/admin/rollback", "version", str(2**63), "version", ABOVE),
    ("/admin/rollback", "expected_version", '"1"', "expected_version", WHOLE),
]


@pytest.mark.parametrize(
    ("path", "field", "raw", "named", "reason"),
    [pytest.param(*case, id=" ".join(case[:3])[:60]) for case in FIELDS],
)
def test_fields(
    path: str, field: str, raw: str, named: str, reason: str, shared_server: Server
) -> None:
    answer = shared_server.http.post(path, content=with_raw(path, field, raw), headers=JSON)

    problem = refused(answer, 422, named)
    assert reason in problem["errors"][0]["reason"]
    assert problem["detail"] == f"{named}: {problem['errors'][0]['reason']}"


@every_body
def test_missing_fields_are_all_named(path: str, shared_server: Server) -> None:
    answer = shared_server.http.post(path, json={})

    problem = refused(answer, 422, *BODIES[path])
    assert {error["reason"] for error in problem["errors"]} == {MISSING}


@pytest.mark.parametrize("edits", [[], {}, None, "euro", [EURO] * 1_001])
def test_lists_of_edits(edits: object, shared_server: Server) -> None:
    problem = refused(shared_server.http.post("/edits", json={"edits": edits}), 422, "edits")

    assert problem["detail"] == "edits: must be a list of 1 to 1000 edits"


@pytest.mark.parametrize(
    ("path", "named", "reason"),
    [
        ("/edits/0", "edit_id", BELOW),
        ("/edits/-1", "edit_id", BELOW),
        ("/edits/abc", "edit_id", WHOLE),
        ("/edits/1.5", "edit_id", WHOLE),
        (f"/edits/{2**63}", "edit_id", ABOVE),
        ("/edits/" + "9" * 5_000, "edit_id", "exceeded maximum size"),
        ("/edits/%00", "edit_id", WHOLE),
        ("/edits/%ff", "edit_id", WHOLE),
        ("/edits/1?wait=-1", "wait", BELOW),
        ("/edits/1?wait=61", "wait", ABOVE),
        ("/edits/1?wait=nan", "wait", "finite"),
        ("/edits/1?wait=inf", "wait", "finite"),
        ("/edits/1?wait=soon", "wait", "valid number"),
        ("/edits?status=done", "status", "'queued', 'applying'"),
        ("/edits?limit=0", "limit", BELOW),
        ("/edits?limit=1001", "limit", ABOVE),
        ("/edits?after=-1", "after", BELOW),
        (f"/edits?after={2**63}", "after", ABOVE),
        ("/edits?batch_id=0", "batch_id", BELOW),
        ("/edits?submitted_with=0", "submitted_with", BELOW),
        ("/batches/0", "batch_id", BELOW),
        ("/batches/x", "batch_id", WHOLE),
        ("/batches?limit=1001", "limit", ABOVE),
        ("/versions/-1", "version", BELOW),
        (f"/versions/{2**63}", "version", ABOVE),
        ("/versions?after=-2", "after", BELOW),
        ("/generate", "prompt", MISSING),
        ("/generate?prompt=", "prompt", SPACE),
        ("/generate?prompt=%20", "prompt", SPACE),
        ("/generate?prompt=a%00", "prompt", NUL),
        ("/generate?prompt=a&max_new_tokens=0", "max_new_tokens", BELOW),
        ("/generate?prompt=a&max_new_tokens=513", "max_new_tokens", "at most 512"),
        (f"/generate?prompt=a&max_new_tokens={2**63}", "max_new_tokens", "at most 512"),
        ("/generate?prompt=a&max_new_tokens=true", "max_new_tokens", WHOLE),
        ("/generate?prompt=a&stream=maybe", "stream", "valid boolean"),
        ("/generate?prompt=a&version=-1", "version", BELOW),
        ("/generate?prompt=a&version=latest", "version", WHOLE),
        (f"/generate?prompt=a&version={2**63}", "version", ABOVE),
        ("/generate?prompt=a&version=" + "9" * 5_000, "version", "exceeded maximum size"),
    ],
)
def test_paths_and_queries(path: str, named: str, reason: str, shared_server: Server) -> None:
    problem = refused(shared_server.http.get(path), 422, named)

    assert reason in problem["errors"][0]["reason"]


@pytest.mark.parametrize("path", ["/admin/batches/{}/rollback", "/admin/batches/{}/restore"])
@pytest.mark.parametrize("number", [0, -1, 2**63, "x"])
def test_batches_that_cannot_be(path: str, number: object, shared_server: Server) -> None:
    refused(shared_server.http.post(path.format(number), json=WHY), 422, "batch_id")


@pytest.mark.parametrize("number", [0, -1, 2**63, "x"])
def test_edits_that_cannot_be_taken_back(number: object, shared_server: Server) -> None:
    refused(shared_server.http.delete(f"/edits/{number}"), 422, "edit_id")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"", "should match pattern"),
        (b"two words", "should match pattern"),
        (b"caf\xe9", "should match pattern"),
        (b"tab\there", "should match pattern"),
        (b"x" * 256, "at most 255 characters"),
    ],
)
def test_idempotency_keys(key: bytes, reason: str, shared_server: Server) -> None:
    answer = shared_server.http.post("/edits", json=EURO, headers={b"Idempotency-Key": key})

    problem = refused(answer, 422, "idempotency-key")
    assert reason in problem["errors"][0]["reason"]


def test_fields_named_like_parts_of_a_request(shared_server: Server) -> None:
    parts = {"body": 1, "query": 2, "path": 3, "header": 4}

    refused(shared_server.http.post("/edits", json={**EURO, **parts}), 422, *parts)
    refused(shared_server.http.post("/generate", json={"prompt": "a", **parts}), 422, *parts)


TEMPLATES = {
    "{{ raise_exception('no user may speak') }}": "no user may speak",
    "{{ messages[0]['role'] }}": "it leaves the message out",
}


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("path", ["/edits", "/generate", "/score", "/compare"])
def test_messages_that_the_models_template_refuses(
    path: str, template: str, shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = shared_server.services.engine.loaded.tokenizer
    monkeypatch.setattr(tokenizer, "chat_template", template)
    answer = shared_server.http.post(path, json=BODIES[path] | {"format": "chat"})

    problem = refused(answer, 422, "format" if path == "/edits" else "prompt")
    wanted = f"the model's chat template refuses it: {TEMPLATES[template]}"
    assert problem["errors"][0]["reason"] == wanted


@pytest.mark.parametrize("number", [0, -1, 2**63, "x"])
def test_edits_that_cannot_be(number: object, shared_server: Server) -> None:
    refused(shared_server.http.post(f"/admin/edits/{number}/rollback", json=WHY), 422, "edit_id")


@pytest.mark.parametrize(
    "path", ["batches/99/rollback", "batches/99/restore", "edits/99/rollback", "rollback"]
)
def test_a_dry_run_is_yes_or_no(path: str, shared_server: Server) -> None:
    body = WHY | ({"version": 0} if path == "rollback" else {})
    answer = shared_server.http.post(f"/admin/{path}?dry_run=perhaps", json=body)
    refused(answer, 422, "dry_run")
