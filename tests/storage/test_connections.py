"""Connections to a PostgreSQL whose machine is gone: nothing comes, not even their end."""

import os
import socket

import pytest
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn

from service.storage.database import POSTGRESQL

LONGEST_S = 30


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
def test_a_server_that_is_gone_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        conninfo = make_conninfo(host=host, port=port, **POSTGRESQL["connect_args"])
        begun = PGconn.connect_start(conninfo.encode())
        with socket.socket(fileno=os.dup(begun.socket)) as connection:
            tcp = [
                connection.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            ]
            unheard_ms = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        begun.finish()
    idle_s, interval_s, count = tcp
    assert idle_s + interval_s * count <= LONGEST_S
    assert 0 < unheard_ms <= LONGEST_S * 1_000
