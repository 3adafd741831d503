"""`/docs` and `/openapi.json`."""

import base64
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from service.domain.keys import Scope
from service.storage.keys import new_secret
from tests.api.calls import EURO, apply, bearer, refused
from tests.api.routes import routes
from tests.conftest import ADMIN_KEY, Server
from tests.templates import CHATML


def basic(user: str, password: str) -> dict[str, str]:
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


@pytest.fixture(scope="module")
def document(shared_server: Server) -> dict[str, Any]:
    found: dict[str, Any] = shared_server.http.get("/openapi.json").json()
    return found


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/docs/swagger-ui-bundle.js"])
@pytest.mark.parametrize(
    "headers", [basic("", ADMIN_KEY), basic("anyone", ADMIN_KEY), bearer(ADMIN_KEY)]
)
def test_a_key_opens_the_documentation(
    path: str, headers: dict[str, str], shared_server: Server
) -> None:
    assert shared_server.http.get(path, headers=headers).status_code == 200


def test_the_smallest_scope_opens_the_documentation(shared_server: Server) -> None:
    secret = new_secret()
    shared_server.services.keys.add("reader", Scope.GENERATE, secret)

    assert shared_server.http.get("/docs", headers=basic("", secret)).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"Basic",
        b"Basic !",
        b"Basic caf\xe9",
        b"Basic " + base64.b64encode(b"\xff:\xff"),
        b"Basic " + base64.b64encode(b"no colon"),
        basic(ADMIN_KEY, "")["Authorization"].encode(),
        basic("anyone", "wrong")["Authorization"].encode(),
        b"Bearer wrong",
    ],
)
def test_a_browser_is_asked_for_the_key(given: bytes, shared_server: Server) -> None:
    answer = shared_server.http.get("/docs", headers={b"Authorization": given})

    refused(answer, 401)
    assert answer.headers["WWW-Authenticate"] == (
        'Basic realm="Errata: any user, your API key as the password"'
    )


def test_the_page_needs_no_other_site(shared_server: Server) -> None:
    page = shared_server.http.get("/docs").text

    assert "//" not in page.replace("<!--", "")
    links = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert len(links) == 3
    for link in links:
        assert shared_server.http.get(link).status_code == 200


def test_no_other_file_is_served(shared_server: Server) -> None:
    refused(shared_server.http.get("/docs/__init__.py"), 422, "name")
    refused(shared_server.http.get("/docs/../app.py"), 404)


def values_of(node: object, name: str) -> Iterator[Any]:
    """Every value under the key `name`, anywhere in the document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == name:
                yield value
            yield from values_of(value, name)
    elif isinstance(node, list):
        for one in node:
            yield from values_of(one, name)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = {ref for ref in values_of(document, "$ref") if isinstance(ref, str)}

    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references <= schemas
    assert schemas - references == set()  # and no shape is left over


def body_examples(document: dict[str, Any], schema: dict[str, Any]) -> list[Any]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    examples = list(schema.get("examples", []))
    for choice in schema.get("anyOf", []):
        examples += body_examples(document, choice)
    return examples


def examples_in(operation: dict[str, Any], place: str) -> dict[str, Any]:
    return {
        parameter["name"]: example
        for parameter in operation.get("parameters", [])
        for example in parameter.get("examples", parameter["schema"].get("examples", []))
        if parameter["in"] == place
    }


def requests(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], Any]]:
    """Method, path, query and body of every request that the document gives as an example. Where a
    path needs a number, 1 stands for it.
    """
    for route in routes(document):
        method, path, operation = route.method, route.path, route.operation
        query = examples_in(operation, "query")
        address = path.format_map(defaultdict(lambda: "1", examples_in(operation, "path")))
        if not route.takes_body:
            yield method, address, query, None
            continue
        content = operation["requestBody"]["content"]["application/json"]
        bodies = body_examples(document, content["schema"])
        bodies += [content["example"]] if "example" in content else []
        assert bodies, f"{method} {path} shows no example"
        for body in bodies:
            yield method, address, query, body


def test_every_example_runs_as_it_stands(server: Server) -> None:
    document = server.http.get("/openapi.json").json()
    apply(server.http, EURO)  # edit 1, batch 1 and version 1, which the paths name
    # The bundled model has none.
    server.services.engine.loaded.tokenizer.chat_template = CHATML
    ran = set()
    # What takes an edit back would meet one that is applied.
    for method, path, query, body in requests(document):
        if method == "DELETE":
            continue
        answer = server.http.request(method, path, params=query, json=body)
        assert answer.status_code in (200, 202), f"{method} {path}: {answer.text}"
        ran.add((method, path))
    assert len(ran) == sum(route.method != "DELETE" for route in routes(document))


def test_bounds_are_exact(document: dict[str, Any]) -> None:
    """As text: 2**63 written as a float reads as another number."""
    bounds = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    found = [value for name in bounds for value in values_of(document, name)]

    assert 2**63 in found
    assert all(isinstance(value, int) or value != int(value) for value in found)


def test_a_parameter_that_may_be_left_out_is_not_null(document: dict[str, Any]) -> None:
    parameters = [one for route in routes(document) for one in route.parameters("query")]

    assert len(parameters) > 10
    assert "null" not in str(parameters)


def test_what_is_not_supported_is_documented_with_what_is_taken(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["CompletionIn"]["properties"]

    assert fields["best_of"]["enum"] == [None, 1]
    assert fields["suffix"]["enum"] == [None, ""]


def test_problems_are_as_documented(document: dict[str, Any], shared_server: Server) -> None:
    shape = document["components"]["schemas"]["Problem"]["properties"]

    problem = refused(shared_server.http.post("/edits", json={}), 422, "prompt", "target_new")

    assert set(problem) == set(shape)
