"""A server whose database role may read and write rows, and nothing else."""

from pathlib import Path

import psycopg
from sqlalchemy import make_url

from tests.conftest import run_server
from tests.operations.test_apply import apply
from tests.operations.test_history import answers, checksum, currency, rollback
from tests.postgresql import Cluster

GRANTS = """
    CREATE ROLE rows_only LOGIN;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO rows_only;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO rows_only;
"""


def test_a_server_needs_no_more_than_rows(postgresql: Cluster, tmp_path: Path) -> None:
    url = make_url(postgresql.new_log())
    owner = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(GRANTS)
    server_url = url.set(username="rows_only").render_as_string(hide_password=False)
    for server in run_server(tmp_path, database_url=server_url):
        (edit,) = apply(server, currency("Bulgaria"))
        assert edit["status"] == "applied"
        rollback(server, edit["batch_id"])
        before = checksum(server), answers(server)
    for server in run_server(tmp_path, database_url=server_url):
        assert (checksum(server), answers(server)) == before
