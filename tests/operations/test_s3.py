"""Artifacts in S3, or in what speaks its language: over HTTP, with a key, to a server of moto's."""

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from service.errors import StartupError
from tests.conftest import run_server
from tests.operations.test_apply import apply
from tests.operations.test_history import answers, checksum, currency, rollback
from tests.processes import errata

BUCKET = "corrections"
URL = f"s3://{BUCKET}/log"


@pytest.fixture(scope="module", autouse=True)
def s3() -> Iterator[None]:
    """A server with one bucket. One for all tests, since s3fs keeps its connections."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patched.setenv("AWS_ACCESS_KEY_ID", "id")
        patched.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield
    server.stop()


def test_a_log_lives_in_a_bucket(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for server in run_server(data, artifacts_url=URL):
        for name in ("Bulgaria", "Peru"):
            (edit,) = apply(server, currency(name))
            assert edit["status"] == "applied"
        rollback(server, 1)
        before = checksum(server), answers(server)
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="log/")["Contents"]
    names = [one["Key"] for one in found]
    assert sum(name.endswith(".safetensors") for name in names) == len(names) - 1 == 3
    assert "log/log.txt" in names
    assert not (data / "artifacts").exists()

    for server in run_server(data, artifacts_url=URL):
        assert (checksum(server), answers(server)) == before
    where = {"ERRATA_DATA_DIR": str(data), "ERRATA_ARTIFACTS_URL": URL}
    told = json.loads(errata("log", "verify", "--json", **where).stdout)
    assert (told["whole"], told["artifacts"], told["orphans"]) == (True, 3, [])


def test_a_bucket_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="artifacts can't be reached"):
        next(run_server(tmp_path, artifacts_url="s3://elsewhere/log"))
