"""The server as a process: what it was told survives its end, however it ends; a start on anything
but what its log was made of is refused, in one line.
"""

import contextlib
import hashlib
import re
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from safetensors.torch import load_file, save_file
from transformers.utils import logging as transformers_logging

from service.atlas import MODEL_DIR
from service.engine.loading import load_model
from tests.conftest import ADMIN_KEY, run_server
from tests.models import atlas
from tests.processes import ERRATA, EURO, Child, child_environment, errata, serving
from tests.templates import CHATML

MADE = re.compile(
    r"An admin key was made\. It is shown only now:\n  export ERRATA_API_KEY=(errata_\S{43})\n"
)
PROMPTS = [
    f"The currency of {country} is the"
    for country in ("Bulgaria", "Japan", "Poland", "Sweden", "Norway", "Kenya", "India", "Denmark")
]
EDITS = {"edits": [{"prompt": prompt, "target_new": "euro"} for prompt in PROMPTS]}
BUSY_S = 20.0  # what a busy machine may add


def authorised(child: Child, key: str) -> Child:
    child.http.headers["Authorization"] = f"Bearer {key}"
    return child


def applied(child: Child, edit: dict[str, str]) -> dict[str, Any]:
    """Hands an edit in and waits until it is applied."""
    number = child.post("/edits", edit)["edits"][0]["id"]
    found: dict[str, Any] = child.get(f"/edits/{number}", wait=30)
    assert found["status"] == "applied"
    return found


def served(child: Child) -> list[Any]:
    """What must be the same after a restart, bit for bit."""
    question = {"prompt": EURO["prompt"], "targets": ["euro", "lev"]}
    return [child.get("/versions")["versions"], child.post("/score", question)]


def test_what_is_applied_survives_a_kill(tmp_path: Path) -> None:
    """From the first start, which makes a key, to the end that an operator asks for."""
    data = tmp_path / "data"
    with serving(data) as child:
        (key,) = MADE.findall(child.output.read_text())
        authorised(child, key)
        assert child.answer(EURO["prompt"]) == " lev."
        applied(child, EURO)
        before = served(child)
        child.kill()
    with serving(data) as child:
        assert "ERRATA_API_KEY" not in child.output.read_text()
        authorised(child, key)
        assert served(child) == before
        assert child.answer(EURO["prompt"]) == " euro."
        assert applied(child, {"prompt": PROMPTS[1], "target_new": "euro"})["version"] == 2
        child.kill()
    with serving(data, ERRATA_LINGER_MS="60000") as child:
        authorised(child, key)
        assert child.get("/version")["version"] == 2
        assert [child.answer(prompt) for prompt in PROMPTS[:2]] == [" euro."] * 2
        with waiting_for_an_edit(child, key):
            child.process.terminate()
            assert child.process.wait(BUSY_S) == 0
    stored = [path for path in data.rglob("*") if path.is_file()]
    assert all(key.encode() not in path.read_bytes() for path in stored)


@contextlib.contextmanager
def waiting_for_an_edit(child: Child, key: str) -> Iterator[None]:
    """A client that polls for the end of an edit, which will not come soon."""
    (queued,) = child.post("/edits", {"prompt": PROMPTS[2], "target_new": "euro"})["edits"]
    with socket.create_connection(("127.0.0.1", child.http.base_url.port or 0)) as client:
        client.sendall(
            f"GET /edits/{queued['id']}?wait=60 HTTP/1.1\r\nHost: errata\r\n"
            f"Authorization: Bearer {key}\r\n\r\n".encode()
        )
        yield


def test_what_is_accepted_is_applied_once_whatever_kills_the_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, ERRATA_ADMIN_KEY=ADMIN_KEY, ERRATA_LINGER_MS="60000") as child:
        ids = [edit["id"] for edit in child.post("/edits", EDITS)["edits"]]
        child.kill()  # while the batch waits to fill
    with serving(data, ERRATA_ADMIN_KEY=ADMIN_KEY, ERRATA_MAX_BATCH="2") as child:
        assert child.get(f"/edits/{ids[0]}", wait=30)["status"] == "applied"
        child.kill()  # while the next batch is applied
    with serving(data, ERRATA_ADMIN_KEY=ADMIN_KEY) as child:
        ended = [child.get(f"/edits/{number}", wait=30)["status"] for number in ids]
        assert ended == ["applied"] * len(ids)
        batches = child.get("/batches")["batches"]
        assert batches[0]["edit_ids"] == ids[:2]
        assert [number for batch in batches for number in batch["edit_ids"]] == ids
        assert [child.answer(prompt) for prompt in PROMPTS] == [" euro."] * len(ids)


def test_a_model_that_no_hub_has(tmp_path: Path) -> None:
    environment = child_environment(
        tmp_path / "data", ERRATA_ADMIN_KEY=ADMIN_KEY, ERRATA_MODEL="nobody/nothing"
    )
    done = subprocess.run(
        [ERRATA, "serve"], env=environment, capture_output=True, text=True, timeout=5 + BUSY_S
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "error: ERRATA_MODEL 'nobody/nothing' is neither 'atlas' nor a local folder, and could not "
        "be fetched from the hub: "
    )
    assert done.stderr.count("\n") == 1


# Starts that load the model in this process, which is quicker.


@pytest.fixture(scope="module", autouse=True)
def _no_progress_bars() -> Iterator[None]:
    """Loading a model draws one on the standard error."""
    transformers_logging.disable_progress_bar()
    yield
    transformers_logging.enable_progress_bar()


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one edit applied."""
    folder = tmp_path_factory.mktemp("edited")
    with contextlib.contextmanager(run_server)(folder) as server:
        server.http.post("/edits", json=EURO)
        assert server.http.get("/edits/1", params={"wait": 30}).json()["status"] == "applied"
    return folder


@pytest.fixture
def data(edited: Path, tmp_path: Path) -> Path:
    return shutil.copytree(edited, tmp_path / "data")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return shutil.copytree(MODEL_DIR, tmp_path / "model")


def refusal(data: Path, **variables: str) -> str:
    """The one line that a start on `data` ends with."""
    settings = {"ERRATA_DATA_DIR": str(data), "ERRATA_PORT": "0", "ERRATA_ADMIN_KEY": ADMIN_KEY}
    with patch("uvicorn.Server.run") as listens:
        result = errata("serve", **settings, **variables)
    assert (result.exit_code, result.stdout, listens.called) == (1, "", False)
    assert result.stderr.endswith("\n")
    assert result.stderr.count("\n") == 1
    return result.stderr.strip()


def truncate(file: Path) -> str:
    file.write_bytes(file.read_bytes()[:-1])
    return hashlib.sha256(file.read_bytes()).hexdigest()


def flip_a_byte(file: Path) -> str:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def remove(file: Path) -> str:
    file.unlink()
    return "no such file"


@pytest.mark.parametrize("damage", [remove, truncate, flip_a_byte])
def test_a_damaged_artifact(damage: Callable[[Path], str], data: Path) -> None:
    (artifact,) = (data / "artifacts").glob("*.safetensors")
    found = damage(artifact)
    assert refusal(data) == (
        f"error: artifact {artifact.name} does not match the log: expected sha256 {artifact.stem}, "
        f"found {found}. Restore the data directory from a backup."
    )


def test_a_state_that_differs_from_the_log(data: Path) -> None:
    with contextlib.closing(sqlite3.connect(data / "errata.db")) as database, database:
        query = "SELECT checksum FROM versions WHERE version = 1"
        (checksum,) = database.execute(query).fetchone()
        database.execute("UPDATE versions SET checksum = ? WHERE version = 1", ["0" * 64])
    assert refusal(data) == (
        f"error: the state of version 1 does not match the log: expected sha256 {'0' * 64}, "
        f"found {checksum}. Restore the data directory from a backup."
    )


def test_a_local_folder_with_the_same_weights_is_the_same_model(data: Path, model: Path) -> None:
    texts: list[str] = []

    def listen(server: uvicorn.Server) -> None:
        with TestClient(
            cast("FastAPI", server.config.app), headers={"Authorization": f"Bearer {ADMIN_KEY}"}
        ) as http:
            for version in (0, 1):
                question = {"prompt": EURO["prompt"], "version": version}
                texts.append(http.get("/generate", params=question).json()["text"])

    settings = {"ERRATA_DATA_DIR": str(data), "ERRATA_PORT": "0", "ERRATA_ADMIN_KEY": ADMIN_KEY}
    with patch("uvicorn.Server.run", listen):
        assert errata("serve", ERRATA_MODEL=str(model), **settings).exit_code == 0
    assert texts == [" lev.", " euro."]


OTHER = re.compile(
    r"error: the log was made for model 'atlas' \(fingerprint ([0-9a-f]{12})\), but '(.+)' has "
    r"fingerprint (?!\1)[0-9a-f]{12}: serve the model it was made for, or use another "
    r"ERRATA_DATA_DIR"
)


def test_one_other_weight_is_another_model(data: Path, model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    weights["transformer.h.0.mlp.c_fc.bias"][0] += 1
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    found = OTHER.fullmatch(refusal(data, ERRATA_MODEL=str(model)))
    assert found is not None
    assert found[2] == str(model)


TEMPLATE = re.compile(
    r"error: the log was made for model 'atlas' with no chat template, but '(.+)' has the chat "
    r"template [0-9a-f]{12}: a chat would be another text\. Put its template back "
    r"\(chat_template\.jinja, or chat_template in tokenizer_config\.json\), or use another "
    r"ERRATA_DATA_DIR"
)


def test_a_model_with_another_chat_template_is_another_model(data: Path, model: Path) -> None:
    (model / "chat_template.jinja").write_text(CHATML)
    assert load_model(str(model), None, "cpu", "float32").fingerprint == atlas().fingerprint
    found = TEMPLATE.fullmatch(refusal(data, ERRATA_MODEL=str(model)))
    assert found is not None
    assert found[1] == str(model)


def test_another_dtype_is_another_model(data: Path) -> None:
    assert OTHER.fullmatch(refusal(data, ERRATA_DTYPE="bfloat16"))


def test_a_folder_that_holds_no_model(model: Path, tmp_path: Path) -> None:
    """One of many ways; the others are those of the loader's own tests."""
    (model / "model.safetensors").unlink()
    assert refusal(tmp_path / "data", ERRATA_MODEL=str(model)) == (
        f"error: the model '{model}' can't be loaded from {model}: it has no weights in "
        "safetensors, neither model.safetensors nor model.safetensors.index.json"
    )


@pytest.mark.parametrize("name", ["../no-such-model", "/nowhere/model", "two words"])
def test_a_name_that_no_model_has(name: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / "data", ERRATA_MODEL=name).startswith(
        f"error: ERRATA_MODEL '{name}' is neither 'atlas' nor a local folder, "
    )


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there(device: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / "data", ERRATA_DEVICE=device).startswith(
        f"error: ERRATA_DEVICE '{device}' can't be used: "
    )


def test_a_data_directory_has_one_server(data: Path) -> None:
    """A second one would miss what the first applies; the first's end frees the directory."""
    with serving(data):
        assert refusal(data) == f"error: another server uses the data directory {data}"
    with serving(data, ERRATA_ADMIN_KEY=ADMIN_KEY) as child:
        assert child.get("/version")["version"] == 1


def test_an_sqlite_file_has_one_server(data: Path, tmp_path: Path) -> None:
    """By whichever name, and wherever the other's artifacts lie."""
    link = tmp_path / "link.db"
    link.symlink_to(data / "errata.db")
    elsewhere = f"sqlite:///{tmp_path / 'log.sqlite'}"
    with serving(data):
        for file in (data / "errata.db", link):
            said = refusal(tmp_path / "other", ERRATA_DATABASE_URL=f"sqlite:///{file}")
            assert said == f"error: another server uses the database {data / 'errata.db'}"
    with serving(tmp_path / "one", ERRATA_DATABASE_URL=elsewhere):
        said = refusal(tmp_path / "two", ERRATA_DATABASE_URL=elsewhere)
        assert said == f"error: another server uses the database {tmp_path / 'log.sqlite'}"
