"""The routes that the OpenAPI document tells of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from httpx2 import Response

from service.domain.keys import Scope
from tests.api.calls import openai_error, refused

METHODS = {"get", "post", "put", "patch", "delete"}


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    operation: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def scope(self) -> Scope | None:
        """Of the key that it needs."""
        for one in self.operation.get("security", []):
            return Scope(one["HTTPBearer"][0])
        return None

    @property
    def errors(self) -> dict[int, dict[str, Any]]:
        """Its documented error responses."""
        found = self.operation["responses"]
        return {int(status): found[status] for status in found if status >= "4"}

    @property
    def is_openai(self) -> bool:
        return self.path.startswith("/v1")

    @property
    def takes_body(self) -> bool:
        return "requestBody" in self.operation

    def address(self, value: str = "1") -> str:
        """Its path, with `value` in place of every parameter."""
        parts = self.path.split("/")
        return "/".join(value if part.startswith("{") else part for part in parts)

    def parameters(self, place: str) -> list[dict[str, Any]]:
        return [one for one in self.operation.get("parameters", []) if one["in"] == place]

    def refuses(self, answer: Response, status: int) -> None:
        """`answer` is an error of this status, in this route's shape and as documented."""
        assert answer.status_code == status, f"{self}: {answer.text}"
        assert status in self.errors, f"{self} does not document {status}"
        if self.is_openai:
            openai_error(answer, status)
        else:
            fields = [error["field"] for error in answer.json().get("errors", [])]
            refused(answer, status, *fields)
        for header in self.errors[status]["headers"]:
            assert answer.headers[header], f"{self}: {header}"


def routes(document: dict[str, Any]) -> Iterator[Route]:
    for path, item in document["paths"].items():
        for method in sorted(METHODS & set(item)):
            yield Route(method.upper(), path, item[method])
