"""Every route answers for itself. They are read from the OpenAPI document: one that is added is
tried here without being named, and fails where it does not document what it answers.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from service.domain.keys import Scope
from service.storage.keys import KeyRing
from tests.api.calls import new_key, refused
from tests.api.conftest import idle_server
from tests.api.routes import METHODS, Route, routes
from tests.conftest import Server

KEYLESS = {"GET /health", "GET /health/live", "GET /health/ready"}
# The document itself, and the page that shows it.
NOT_IN_IT = {"GET /openapi.json", "GET /docs", "GET /docs/{name}"}
UNLIMITED = {"GET /metrics"}
MIB = 1 << 20
JSON = {"Content-Type": "application/json"}
NO_KEY = {"Authorization": ""}


def app_of(server: Server) -> FastAPI:
    assert isinstance(server.http.app, FastAPI)
    return server.http.app


@pytest.fixture(scope="module")
def every_route(shared_server: Server) -> list[Route]:
    return list(routes(app_of(shared_server).openapi()))


@pytest.fixture(scope="module")
def keyed(every_route: list[Route]) -> list[Route]:
    return [route for route in every_route if route.scope is not None]


def test_the_document_tells_of_every_route(every_route: list[Route], shared_server: Server) -> None:
    served = {
        f"{method} {(found.path or '').replace(':path}', '}')}"
        for found in iter_route_contexts(app_of(shared_server).routes)
        for method in found.methods or {"mounted"}
    }

    assert served == {str(route) for route in every_route} | NOT_IN_IT


def test_every_route_but_health_needs_a_key(every_route: list[Route]) -> None:
    assert {str(route) for route in every_route if route.scope is None} == KEYLESS


def test_no_key(keyed: list[Route], shared_server: Server, subtests: pytest.Subtests) -> None:
    """Whatever else is wrong: of a path, a body's words or its size."""
    for route in keyed:
        for body in (b"{", b" " * (MIB + 1)):
            for value in ("1", "x"):
                with subtests.test(str(route), body=body[:1], value=value):
                    answer = shared_server.http.request(
                        route.method, route.address(value), content=body, headers=JSON | NO_KEY
                    )
                    route.refuses(answer, 401)


def test_a_scope_too_small(
    keyed: list[Route], shared_server: Server, subtests: pytest.Subtests
) -> None:
    for held in (Scope.GENERATE, Scope.EDIT):
        key = new_key(shared_server, held)
        for route in keyed:
            assert route.scope is not None
            if not held.includes(route.scope):
                with subtests.test(str(route), held=held):
                    answer = shared_server.http.request(
                        route.method, route.address("x"), content=b"{", headers=JSON | key
                    )
                    route.refuses(answer, 403)


def test_a_method_that_a_path_does_not_take(
    every_route: list[Route], shared_server: Server, subtests: pytest.Subtests
) -> None:
    paths = {route.path for route in every_route} | {one.split()[1] for one in NOT_IN_IT}
    for path in sorted(paths):
        taken = {route.method for route in every_route if route.path == path} or {"GET"}
        for method in {*map(str.upper, METHODS), "HEAD", "OPTIONS", "TRACE"} - taken:
            with subtests.test(path, method=method):
                answer = shared_server.http.request(method, path.format(name="x", **NUMBERS))

                assert answer.status_code == 405
                assert set(answer.headers["Allow"].split(", ")) == taken
                kind = "json" if path.startswith("/v1") else "problem+json"
                assert answer.headers["Content-Type"] == f"application/{kind}"


NUMBERS = {"edit_id": 1, "batch_id": 1, "version": 1, "model": "atlas"}


def test_a_body_too_large(
    keyed: list[Route], shared_server: Server, subtests: pytest.Subtests
) -> None:
    for route in keyed:
        for value in ("1", "x"):
            with subtests.test(str(route), value=value):
                answer = shared_server.http.request(
                    route.method, route.address(value), content=b" " * (MIB + 1), headers=JSON
                )
                route.refuses(answer, 413)


def test_an_encoded_body(
    keyed: list[Route], shared_server: Server, subtests: pytest.Subtests
) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    for route in keyed:
        with subtests.test(str(route)):
            answer = shared_server.http.request(
                route.method, route.address(), content=gzip.compress(b"{}"), headers=headers
            )
            route.refuses(answer, 415)


def test_what_is_malformed(
    every_route: list[Route], shared_server: Server, subtests: pytest.Subtests
) -> None:
    for route in every_route:
        for what, address, body in malformed(route):
            with subtests.test(str(route), what=what):
                answer = shared_server.http.request(
                    route.method, address, content=body, headers=JSON
                )
                route.refuses(answer, 400 if route.is_openai else 422)


def malformed(route: Route) -> Iterator[tuple[str, str, bytes]]:
    """What is wrong, and a path and a body that are."""
    if route.takes_body:
        for body in (b"", b"{", b"[]", b"null", b'{"\xff": 1}', b'{"no such field": 1}'):
            yield repr(body), route.address(), body
    # The name of a model is any text.
    if route.parameters("path") and not route.is_openai:
        yield "path", route.address("x"), b"{}"
    for parameter in route.parameters("query"):
        if parameter["schema"].get("type") != "string":  # a word of an enumeration is none
            yield parameter["name"], f"{route.address()}?{parameter['name']}=x", b"{}"


def test_a_parameter_that_no_route_has(
    keyed: list[Route], shared_server: Server, subtests: pytest.Subtests
) -> None:
    """As `dry_run` misspelt, which must not make the change."""
    for route in keyed:
        with subtests.test(str(route)):
            address = f"{route.address()}?dryrun=true"
            answer = shared_server.http.request(route.method, address, content=b"{", headers=JSON)
            route.refuses(answer, 400 if route.is_openai else 422)
            assert "dryrun" in answer.text


def test_what_is_not_there(
    keyed: list[Route], shared_server: Server, subtests: pytest.Subtests
) -> None:
    """Of routes that look for what their path names."""
    for route in keyed:
        if route.parameters("path"):
            with subtests.test(str(route)):
                address, body = route.address("99"), {"reason": "a wrong source"}
                answer = shared_server.http.request(route.method, address, json=body)
                route.refuses(answer, 404)


def test_too_many_requests(keyed: list[Route], tmp_path: Path, subtests: pytest.Subtests) -> None:
    with idle_server(tmp_path, rate_limit=1) as server:
        assert server.http.get("/version").status_code == 200
        for route in keyed:
            with subtests.test(str(route)):
                answer = server.http.request(route.method, route.address("x"), content=b"{")
                if str(route) in UNLIMITED:
                    assert answer.status_code == 200
                    assert 429 not in route.errors
                else:
                    route.refuses(answer, 429)


def test_storage_that_does_not_answer(
    keyed: list[Route],
    shared_server: Server,
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError

    monkeypatch.setattr(KeyRing, "find", fail)
    for route in keyed:
        with subtests.test(str(route)):
            answer = shared_server.http.request(route.method, route.address())
            route.refuses(answer, 503)


PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
OPENAI = {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIError"}}}


def test_errors_are_documented_in_the_shape_they_have(keyed: list[Route]) -> None:
    for route in keyed:
        assert route.errors.keys() >= {401, 403, 408, 413, 415, 503}, route
        assert 500 not in route.errors, route
        for response in route.errors.values():
            assert response["content"] == (OPENAI if route.is_openai else PROBLEM), route


def test_every_answer_is_documented_with_its_request(every_route: list[Route]) -> None:
    for route in every_route:
        for response in route.operation["responses"].values():
            assert "X-Request-ID" in response["headers"], route


def test_a_problem_off_every_route(shared_server: Server) -> None:
    """Needs no key, and reads no body."""
    refused(shared_server.http.post("/nothing", content=b" " * (MIB + 1), headers=NO_KEY), 404)
