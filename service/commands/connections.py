"""One client's connection, with bounds on what the web server by itself waits for without end."""

import json
import socket
from dataclasses import dataclass
from http import HTTPStatus

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.api.failures import MEDIA_TYPE, RETRY_AFTER_S, problem_body

HEAD_BYTES = 65_536  # of one request's line and headers, together
AFTER_S = 2.0  # in which the app answers first, where a body is late
FULL = "the server has no room for more connections"
UNREADABLE = "this is no HTTP request, or its head has more than 65536 bytes"
TIMEOUT_OPTION = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has it


@dataclass(frozen=True)
class Bounds:
    connections: int
    client_s: float  # in which a request must come, or a client must take of its answer


class BoundedConfig(Config):
    """Uvicorn's, with what connections are bounded by."""

    bounds: Bounds


class Connection(H11Protocol):
    """Whoever holds the server watches all of them, by `watch`.

    h11 is the parser, always: of the others that Uvicorn knows, httptools, which it takes where it
    is installed, reads heads of any size.
    """

    config: BoundedConfig

    def __init__(self, *args: object, **fields: object) -> None:
        super().__init__(*args, **fields)  # type: ignore[arg-type]  # as Uvicorn calls it
        self._bounds = self.config.bounds
        # Since when the client has been awaited: for the rest of a request, or to read.
        self._receiving: float | None = None
        self._sending: float | None = None

    def connection_made(self, transport: object) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._receiving = self.loop.time()
        self._notice_dead_peers()
        if len(self.connections) > self._bounds.connections:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, FULL)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._receiving = None
        elif self._receiving is None:
            self._receiving = self.loop.time()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sending = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._sending = None

    def send_400_response(self, _message: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, UNREADABLE)

    def watch(self, now: float) -> None:
        """Ends a connection whose client was awaited for too long."""
        if self.transport.is_closing() and self._sending is None:
            self._sending = now  # for as long as something is still to be sent
        if self._is_late(self._sending, now):
            self.transport.abort()
        elif self._is_late(self._receiving, now) and not self.flow.read_paused:
            if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
                self.transport.close()  # nothing was asked
            elif self.conn.their_state is h11.IDLE:
                seconds = self._bounds.client_s
                detail = f"the request did not come whole within {seconds:g} s"
                self._refuse(HTTPStatus.REQUEST_TIMEOUT, detail)
            elif self._is_late(self._receiving, now - AFTER_S):
                self.transport.abort()

    def _is_late(self, since: float | None, now: float) -> bool:
        return since is not None and now - since > self._bounds.client_s

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """An answer to what no request has come of; none where one is under way."""
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.close()
            return
        body = json.dumps(problem_body(status, detail)).encode()
        retry = (
            f"Retry-After: {RETRY_AFTER_S}\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else ""
        )
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\n{retry}Connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _notice_dead_peers(self) -> None:
        """One that has gone without a word, half a connection, is otherwise told by the system
        after a quarter of an hour.
        """
        found = self.transport.get_extra_info("socket")
        if TIMEOUT_OPTION is not None and found is not None and found.family != socket.AF_UNIX:
            milliseconds = int(self._bounds.client_s * 1_000)
            found.setsockopt(socket.IPPROTO_TCP, TIMEOUT_OPTION, milliseconds)
