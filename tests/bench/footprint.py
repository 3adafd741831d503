"""One editor's memory, in a process of its own: `python -m tests.bench.footprint memit`.

Prints JSON: the bytes of a randomly initialised model of GPT-2 large's shape, and those that a
batch adds at its peak. Needs Linux or an accelerator.
"""

import json
import resource
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from service.editing.architectures import down_projection_of, weight_of
from service.editing.editor import AnyEditor
from service.editing.grace import Grace, GraceHyperparameters
from service.editing.hyperparameters import hyperparameters_of
from service.editing.key_statistics import KeyStatistics
from service.editing.locate import LocateEditor
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.requests import EditRequest, FactRequest, SubjectText
from tests.bench.machine import device
from tests.phrased import request_of

LARGE = GPT2Config(n_layer=36, n_embd=1_280, n_head=20)  # vocabulary and positions are GPT-2's
BATCH = 32
PROMPT_TOKENS = 20
TARGET_TOKENS = 2
PREFIXES = 5
PREFIX_TOKENS = 10
ESSENCE_TOKENS = 4
KEYS = 64  # of each layer's sample
STEPS = 3  # no step needs more memory than the first


def main(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Module.to(GPT2LMHeadModel(LARGE), device()).eval().requires_grad_(False)
    requests = [_request(number) for number in range(BATCH)]
    with torch.no_grad():
        model(input_ids=torch.tensor([requests[0].phrasings[0].prompt], device=model.device))
    before = _resident(model.device)
    editor = _editor(model, name)
    targets, errors = editor.targets(None, requests)
    editor.insert(None, targets)
    if errors:
        raise errors[0]
    added = _peak(model.device) - before
    print(json.dumps({"model": sum(_bytes(p) for p in model.parameters()), "added": added}))


def _request(number: int) -> EditRequest:
    prompt, target = _tokens(PROMPT_TOKENS), _tokens(TARGET_TOKENS)
    subject = PROMPT_TOKENS // 2
    plain = SubjectText(prompt, subject)
    prefixed = tuple(
        SubjectText((*_tokens(PREFIX_TOKENS), *prompt), PREFIX_TOKENS + subject)
        for _ in range(PREFIXES)
    )
    essence = SubjectText(_tokens(ESSENCE_TOKENS), 1)
    fact = FactRequest(number, plain, ((plain,), prefixed), essence, target)
    return request_of(number, [prompt], [target], fact)


def _tokens(count: int) -> tuple[int, ...]:
    return tuple(torch.randint(LARGE.vocab_size, (count,)).tolist())


def _editor(model: PreTrainedModel, name: str) -> AnyEditor:
    """By the rule for models that nobody has tuned; statistics of that size, but of no text."""
    found = hyperparameters_of(model, name, {"steps": STEPS, "stop_loss": 0.0})
    if isinstance(found, GraceHyperparameters):
        return Grace(model, replace(found, radius=1.0))
    assert isinstance(found, LocateHyperparameters)
    widths = {n: weight_of(down_projection_of(model, n)).shape[1] for n in found.layers}
    statistics = {
        n: KeyStatistics("nothing", torch.eye(width), torch.randn(KEYS, width), KEYS)
        for n, width in widths.items()
    }
    return LocateEditor(model, METHODS[name], found, statistics)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _resident(where: torch.device) -> int:
    """Bytes at present; the accelerator's peak is counted from here on."""
    if where.type != "cpu":
        torch.accelerator.reset_peak_memory_stats(where)
        return torch.accelerator.memory_allocated(where)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak(where: torch.device) -> int:
    """Bytes at the most, on a CPU since the process began."""
    if where.type != "cpu":
        return torch.accelerator.max_memory_allocated(where)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024  # Linux tells KiB


if __name__ == "__main__":
    main(sys.argv[1])
