"""What goes into the container, and what compose makes of it, as far as that shows without Docker:
`make container` builds and tries the image.
"""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import PREFIX, Settings
from tests.processes import READY_WITHIN_S, child_environment, errata

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"
KEY = re.compile(
    r"An admin key was made\. It is shown only now:\n  export ERRATA_API_KEY=errata_\S{43}\n"
)
POLL_S = 0.5
BUSY_S = 30.0  # what a busy machine may add


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of the container: others reach the server, and no key is configured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = child_environment(tmp_path, ERRATA_HOST="0.0.0.0", ERRATA_PORT=port)
    return {**found, "PATH": programs}


def healthy(environment: dict[str, str]) -> bool:
    check = [sys.executable, str(DOCKER / "health.py")]
    return subprocess.run(check, env=environment, capture_output=True).returncode == 0


def test_a_first_start_prints_a_key_serves_and_ends_with_sigterm(
    environment: dict[str, str],
) -> None:
    assert not healthy(environment)
    process = subprocess.Popen(
        [DOCKER / "entrypoint.sh", "serve"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        give_up = time.monotonic() + READY_WITHIN_S
        while not healthy(environment):
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(POLL_S)
        # The process that was started is the server by now.
        process.terminate()
        printed, _ = process.communicate(timeout=BUSY_S)
    finally:
        process.kill()
    assert process.returncode == 0
    assert KEY.search(printed)


def test_a_start_that_fails_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "errata.db").write_bytes(b"no database")
    done = subprocess.run(
        [DOCKER / "entrypoint.sh", "serve"], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_other_commands_run_as_they_are(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [DOCKER / "entrypoint.sh", "keys", "list", "--json"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout == errata("keys", "list", "--json", ERRATA_DATA_DIR=str(tmp_path)).stdout


def test_what_services_use_is_defined(compose: Any) -> None:
    for service in compose["services"].values():
        assert {*service["secrets"]} <= {*compose["secrets"]}
        assert {*service.get("networks", [])} <= {*compose["networks"], "default"}
        assert {volume.split(":")[0] for volume in service["volumes"]} <= {*compose["volumes"]}
        assert {*service.get("depends_on", {})} <= {*compose["services"]}
    for config in compose["configs"].values():
        assert (ROOT / config["file"]).is_file()
    assert (ROOT / compose["services"]["errata"]["build"]["dockerfile"]).is_file()


def test_secrets_are_files_that_git_does_not_keep(compose: Any) -> None:
    folder = "docker/secrets/"
    assert folder in (ROOT / ".gitignore").read_text().splitlines()
    assert all(secret["file"].startswith(folder) for secret in compose["secrets"].values())
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            is_secret = "PASSWORD" in name or "KEY" in name
            assert not is_secret or value.removeprefix("/run/secrets/") in service["secrets"]


def test_the_servers_variables_are_settings(compose: Any) -> None:
    given = {*compose["services"]["errata"]["environment"]}
    given |= {*re.findall(r"\bERRATA_[A-Z_]+", (DOCKER / "Dockerfile").read_text())}
    assert given <= {PREFIX + name.upper() for name in Settings.model_fields}


def test_the_server_is_confined_and_reached_from_this_machine_alone(compose: Any) -> None:
    server = compose["services"]["errata"]
    assert (server["read_only"], server["cap_drop"]) == (True, ["ALL"])
    assert (server["volumes"], server["tmpfs"]) == (["data:/data"], ["/tmp"])
    assert compose["networks"]["database"] == {"internal": True}
    assert "ports" not in compose["services"]["database"]
    for service in compose["services"].values():
        assert "no-new-privileges:true" in service["security_opt"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_build_is_given_what_the_image_needs_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (DOCKER / "Dockerfile").read_text(), re.M)
    sources = {name for names in copied for name in names.split() if not name.startswith("--")}
    assert lines[1] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == sources
    assert all((ROOT / source).exists() for source in sources)
