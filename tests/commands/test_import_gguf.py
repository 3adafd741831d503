"""`errata import-gguf`: from a file to a served model."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from service.commands.import_gguf import QUIET
from service.domain.edits import Format
from tests.conftest import ADMIN_KEY, run_server
from tests.engine.test_loading import without
from tests.gguf_files import content
from tests.hostile.conftest import WATCHED
from tests.processes import errata


def test_a_file_is_imported_and_served(tmp_path: Path) -> None:
    file, folder = content("llama").write(tmp_path / "m.gguf"), tmp_path / "model"
    done = errata("import-gguf", str(file), str(folder), **QUIET)
    assert done.exit_code == 0
    assert done.stdout == (
        f"{folder} holds a model of type 'llama': 43,296 numbers, a chat template\n"
    )
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    for server in run_server(tmp_path / "data", model=str(folder)):
        message = {"role": "user", "content": "the end"}
        body = {"model": str(folder), "messages": [message], "max_tokens": 4}
        said = server.http.post("/v1/chat/completions", json=body).json()
        turn = server.services.engine.prompt_tokens("the end", Format.CHAT)
        assert said["usage"]["prompt_tokens"] == len(turn)
        text = server.services.engine.loaded.tokenizer.decode(list(turn))
        assert text == "<|im_start|>user\nthe end<|im_end|>\n<|im_start|>assistant\n"
        assert said["choices"][0]["finish_reason"] in ("stop", "length")

    again = errata("import-gguf", str(file), str(folder), **QUIET)
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == f"error: {folder} is not empty\n"


def test_an_import_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    file = content("llama").write(tmp_path / "m.gguf")
    stop = patch(
        "transformers.PreTrainedModel.save_pretrained",
        lambda *_: signal.raise_signal(signal.SIGTERM),
    )
    with stop:
        done = errata("import-gguf", str(file), str(tmp_path / "model"), **QUIET)
    assert done.exit_code == 143
    assert list(tmp_path.iterdir()) == [file]


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    for package in ("gguf", "accelerate"):
        with without(package):
            done = errata("import-gguf", str(tmp_path / "m.gguf"), str(tmp_path), **QUIET)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr == (
            f"error: errata import-gguf needs the package {package}, which is not installed: pip "
            "install 'errata-server[gguf]'\n"
        )


def test_nothing_is_fetched_or_run(tmp_path: Path) -> None:
    """A process of its own may ask the hub, and a name in the file is a hub's."""
    seen, folder = tmp_path / "seen", tmp_path / "model"
    names = {"general__name": "evil/model", "general__source__huggingface__repository": "evil/m"}
    file = content("qwen2").write(tmp_path / "m.gguf", **names)
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "ERRATA_ADMIN_KEY": ADMIN_KEY}
    command: list[str | Path] = [sys.executable, WATCHED, seen, "import-gguf", file, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "model of type 'qwen2'" in done.stdout
    assert seen.read_text() == ""
    assert "evil" not in (folder / "config.json").read_text()
