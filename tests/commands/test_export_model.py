"""`errata export-model`: what a server says, said by transformers alone."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.conftest import run_server
from tests.operations.test_apply import apply
from tests.operations.test_history import currency
from tests.operations.test_hook_layers import FEW, NAMES, fact
from tests.processes import errata


def logprob(model: Any, tokenizer: Any, prompt: str, target: str) -> float:
    """Of the target's tokens after the prompt."""
    before, after = tokenizer(prompt)["input_ids"], tokenizer(target)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([[*before, *after]])).logits[0, len(before) - 1 : -1]
    return float(logits.log_softmax(dim=-1)[range(len(after)), after].sum())


def test_an_edited_model_is_exported(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    prompts = [fact(name)["prompt"] for name in (*NAMES, "Kenya")]
    for server in run_server(tmp_path / "data", editor="memit", **FEW):
        apply(server, *map(fact, NAMES[:2]))
        apply(server, *map(fact, NAMES[2:]))
        said = {}
        for version in (1, 2):
            bodies = [{"prompt": p, "version": version, "max_new_tokens": 5} for p in prompts]
            said[version] = [server.http.post("/generate", json=b).json()["text"] for b in bodies]
        body = {"prompt": prompts[0], "targets": ["euro"]}
        (score,) = server.http.post("/score", json=body).json()["scores"]
    assert said[1] != said[2]
    for version, more in ((2, ()), (1, ("--version", "1"))):
        folder = tmp_path / f"model-{version}"
        result = errata("export-model", str(folder), *more, ERRATA_DATA_DIR=data)
        assert (result.exit_code, result.stdout) == (
            0,
            f"version {version} of 'atlas' is in {folder}\n",
        )
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        texts = []
        for prompt in prompts:
            inputs = tokenizer(prompt, return_tensors="pt")
            made = model.generate(**inputs, max_new_tokens=5, do_sample=False)
            new = made[0, inputs["input_ids"].shape[1] :]
            texts.append(tokenizer.decode(new, skip_special_tokens=True))
        assert texts == said[version]
        if version == 2:
            found = logprob(model, tokenizer, prompts[0], " euro")
            assert abs(found - score["logprob"]) < 1e-4

    missing = errata("export-model", str(tmp_path / "m"), "--version", "9", ERRATA_DATA_DIR=data)
    assert (missing.exit_code, missing.stderr) == (1, "error: there is no version 9\n")
    again = errata("export-model", str(tmp_path / "model-1"), ERRATA_DATA_DIR=data)
    assert again.stderr.endswith("model-1 is not empty\n")
    quantised = {"ERRATA_QUANTIZATION": "8bit", "ERRATA_DATA_DIR": data}
    refused = errata("export-model", str(tmp_path / "m"), **quantised)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "can't be added to quantised weights" in refused.stderr


def test_a_codebook_is_refused(tmp_path: Path) -> None:
    for server in run_server(tmp_path / "data"):
        apply(server, currency("Bulgaria"))
    data = str(tmp_path / "data")
    refused = errata("export-model", str(tmp_path / "m"), ERRATA_DATA_DIR=data)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: version 1 holds a codebook")
    assert not (tmp_path / "m").exists()
