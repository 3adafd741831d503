"""A model whose folder holds code and pickles: it is served, and none of them is run."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from service.atlas import MODEL_DIR
from tests.conftest import ADMIN_KEY
from tests.hostile.conftest import WATCHED
from tests.hostile.pickles import Canary
from tests.processes import EURO, errata, serving

CODE = (
    "modeling_own.py",
    "__init__.py",
    "gpt2.py",
    "tokenization_own.py",
    "custom_generate/generate.py",
)
PICKLES = ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "model.pkl")
# Its own code, and that of a hub's repository.
OWN = {
    "AutoConfig": "modeling_own.Own",
    "AutoModelForCausalLM": "evil/model--modeling_own.Own",
    "AutoTokenizer": ["tokenization_own.Own", "evil/model--tokenization_own.Own"],
}


def change(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def hostile(folder: Path, canary: Canary) -> Path:
    shutil.copytree(MODEL_DIR, folder)
    (folder / "custom_generate").mkdir()
    for name in CODE:
        (folder / name).write_text(canary.code)
    for name in PICKLES:
        (folder / name).write_bytes(canary.pickle)
    change(
        folder / "config.json",
        auto_map=OWN,
        architectures=["Own"],
        _attn_implementation="evil/kernel",
        _name_or_path="evil/model",
        trust_remote_code=True,
    )
    change(folder / "generation_config.json", custom_generate="evil/model")
    change(folder / "tokenizer_config.json", auto_map=OWN, name_or_path="evil/model")
    return folder


def test_no_code_of_a_models_folder_is_run(tmp_path: Path) -> None:
    """With a hub that may be asked; it is not."""
    canary = Canary(tmp_path / "sang")
    folder, seen = hostile(tmp_path / "model", canary), tmp_path / "seen"
    settings = {"ERRATA_MODEL": str(folder), "ERRATA_ADMIN_KEY": ADMIN_KEY, "HF_HUB_OFFLINE": "0"}
    with serving(tmp_path / "data", (sys.executable, WATCHED, seen), **settings) as child:
        assert child.answer(EURO["prompt"]) == " lev."
        (edit,) = child.post("/edits", EURO)["edits"]
        assert child.get(f"/edits/{edit['id']}", wait=30)["status"] == "applied"
        assert child.answer(EURO["prompt"]) == " euro."
        assert child.get("/health/ready")["ready"]
    assert not canary.sang
    assert seen.read_text() == ""


def test_a_model_that_needs_its_code_is_refused(tmp_path: Path) -> None:
    canary = Canary(tmp_path / "sang")
    folder = hostile(tmp_path / "model", canary)
    change(folder / "config.json", model_type="own")
    settings = {"ERRATA_DATA_DIR": str(tmp_path / "data"), "ERRATA_ADMIN_KEY": ADMIN_KEY}
    done = errata("serve", ERRATA_MODEL=str(folder), ERRATA_PORT="0", **settings)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: models of type 'own' can't be edited yet")
    assert done.stderr.count("\n") == 1
    assert not canary.sang
