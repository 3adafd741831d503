"""A model in 8 or 4 bits: GRACE edits it, nothing else does, and its log is its own."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from service.editing.padding import pad
from service.errors import StartupError
from tests.api.calls import EURO, PROMPT, apply, refused, say
from tests.conftest import Server, run_server
from tests.models import atlas

pytest.importorskip("bitsandbytes")

OTHERS = ["The capital of Kazakhstan is", "The official language of Brazil is"]


@pytest.fixture(scope="module", params=["8bit", "4bit"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    yield from run_server(tmp_path_factory.mktemp("server"), quantization=request.param)


def logits(server: Server, *prompts: str) -> Tensor:
    """[t, vocabulary] after each token of the first of `prompts`."""
    engine = server.services.engine
    tokens = [engine.prompt_tokens(prompt) for prompt in prompts]
    ids, present = pad(tokens, engine.loaded.device)
    with torch.no_grad():
        found: Tensor = engine.loaded.model(ids, attention_mask=present.long()).logits
    return found[0, : len(tokens[0])]


def test_grace_edits_it_and_takes_it_back(server: Server) -> None:
    before = logits(server, PROMPT)
    (edit,) = apply(server.http, EURO)
    assert (edit["status"], edit["verified"]) == ("applied", True)
    assert [say(server.http, version=version) for version in (0, 1)] == [" lev.", " euro."]
    body = {"version": 0, "reason": "back to the base"}
    server.http.post("/admin/rollback", json=body).raise_for_status()
    assert say(server.http) == " lev."
    assert torch.equal(logits(server, PROMPT), before)


def test_a_text_does_not_depend_on_its_neighbours(server: Server) -> None:
    assert torch.allclose(logits(server, PROMPT), logits(server, PROMPT, *OTHERS), atol=1e-4)


def test_the_weights_take_less_room(server: Server) -> None:
    quantized = server.services.engine.loaded.model
    assert quantized.get_memory_footprint() < 0.6 * atlas().model.get_memory_footprint()


@pytest.mark.parametrize("editor", ["coachhook", "memit", "emmet", "rome", "r-rome"])
def test_what_changes_weights_is_refused(editor: str, server: Server) -> None:
    problem = refused(
        server.http.post("/edits", json={**EURO, "editor": editor, "subject": "Bulgaria"}),
        422,
        "editor",
    )
    assert "only 'grace' and 'entity' edit a quantised model" in problem["errors"][0]["reason"]


def test_its_log_is_not_the_whole_models(server: Server) -> None:
    assert server.services.engine.loaded.fingerprint != atlas().fingerprint
    with pytest.raises(StartupError, match="the log was made for model 'atlas'"):
        next(run_server(server.services.settings.data_dir))
