"""Authorization headers that are no key, or more than one."""

import base64

import pytest

from tests.hostile.conftest import LEAKS, Target
from tests.hostile.raw import ask

pytestmark = pytest.mark.usefixtures("unharmed")
PATHS = [b"/edits", b"/v1/models", b"/docs", b"/metrics"]
KEY = b"{key}"  # stands for the admin's

WRONG = [
    b"Authorization: Bearer \xff\xfe",
    b"Authorization: Bearer caf\xc3\xa9",
    b"Authorization: Bearer \xe2\x80\xae" + KEY,
    b"Authorization: Bearer " + KEY + b"\xc2\xa0",
    b"Authorization: Bearer " + KEY + b"\x7f",
    b"Authorization: Bearer " + KEY + b"\x01",
    b"Authorization: Bearer " + KEY + b" " + KEY,
    b"Authorization: Bearer " + KEY + b", Bearer " + KEY,
    b"Authorization: Bearer\t" + KEY,
    b"Authorization: Bearer" + KEY,
    b"Authorization: Bearer ' OR '1'='1",
    b"Authorization: Bearer %",
    b"Authorization: Bearer " + b"a" * 30_000,
    b"Authorization: Basic " + b"A" * 30_001,
    b"Authorization: Basic =",
    b"Authorization: " + b"Bearer " * 1_000,
    b"Authorization:",
    b"X-Authorization: Bearer " + KEY,
    b"Proxy-Authorization: Bearer " + KEY,
    b"Cookie: Authorization=Bearer " + KEY,
    b"Authorization : Bearer " + KEY,
    b"Authorization: Bearer \x00",
    b"Authorization: Bearer " + KEY + b"\x0b",
]


@pytest.mark.parametrize("header", WRONG, ids=lambda header: repr(header[:60]))
def test_what_is_no_key_opens_nothing(header: bytes, target: Target) -> None:
    line = header.replace(KEY, target.admin.encode())
    for path in PATHS:
        answer = ask(target.port, path, line)
        # 400: HTTP itself does not take such bytes.
        assert answer.status in (401, 400), answer
        assert LEAKS.search(answer.body) is None
        assert target.admin.encode() not in answer.body
        assert target.admin not in str(answer.headers)


@pytest.mark.parametrize("path", [b"/edits", b"/v1/models", b"/docs", b"/metrics"])
def test_two_keys_are_none(path: bytes, target: Target) -> None:
    """Which of them a proxy looked at, the server can't know."""
    right = b"Authorization: Bearer " + target.admin.encode()
    basic = base64.b64encode(b":" + target.admin.encode())
    assert ask(target.port, path, right).status == 200
    for other in (b"Bearer wrong", b"Basic " + basic, right.partition(b": ")[2]):
        for lines in ([right, b"authorization: " + other], [b"authorization: " + other, right]):
            assert ask(target.port, path, *lines).status == 401
