"""What one version does to hook layers, as an artifact: the updates that it adds, the gates as they
are then and, for a batch, its targets and the texts that its keys are collected from.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from service.editing.gates import Gate
from service.editing.hook_layer import TENSORS, HookLayer, HookLayers, Update
from service.editing.hooks_checks import check_hooks
from service.editing.model_shape import ModelShape
from service.editing.outlines import HooksOutline, Outline, outline_of
from service.editing.overlays import Overlay
from service.editing.requests import FactRequest, FactTarget, SubjectText
from service.errors import ArtifactFaultError

FORMAT = "errata-hooks-1"


@dataclass(frozen=True)
class HooksChange:
    gate: Gate
    layers: Mapping[int, HookLayer]  # with the updates that are new, and the gate as it is then
    targets: tuple[FactTarget, ...]  # empty for versions that no batch made

    @classmethod
    def between(
        cls, parent: HookLayers | None, state: HookLayers, targets: Sequence[FactTarget]
    ) -> "HooksChange":
        """The change that made `state` out of `parent`."""
        known = {} if parent is None else parent.layers
        new = {
            number: HookLayer(
                layer.updates[len(known[number].updates) if number in known else 0 :],
                layer.alpha,
                layer.mean,
                layer.deviation,
            )
            for number, layer in state.layers.items()
        }
        return cls(state.gate, new, tuple(targets))

    def over(self, parent: HookLayers | None) -> HookLayers | None:
        """The state of a version whose parent's is `parent`. Raises `ArtifactFaultError`."""
        self.outline(outline_of(parent))
        if not self.layers:
            return parent
        state = HookLayers(self.gate, {}) if parent is None else parent
        for number, new in self.layers.items():
            layer = state.layer(number)
            for update in new.updates:
                layer = layer.with_update(update)
            state = state.with_layer(number, layer.behind(new.alpha, new.mean, new.deviation))
        return state

    def overruled(self, _parent: Overlay | None) -> dict[int, int]:
        """None: all edits are added up."""
        return {}

    def outline(self, parent: Outline) -> Outline:
        """That of the state over one with the outline `parent`. Raises `ArtifactFaultError` for a
        change that was not made over such a one.
        """
        if not self.layers:
            return parent
        if parent is not None and not isinstance(parent, HooksOutline):
            raise ArtifactFaultError("layers", "are hook layers, and its parent holds none")
        if parent is not None and parent.gate is not self.gate:
            raise ArtifactFaultError(
                "gate", f"is '{self.gate}', and its parent's is '{parent.gate}'"
            )
        known = frozenset[int]() if parent is None else parent.layers
        for number, layer in self.layers.items():
            if not layer.updates and number not in known:
                raise ArtifactFaultError(f"layers.{number}", "has no update, nor has its parent's")
        return HooksOutline(self.gate, known | self.layers.keys())

    def header(self) -> dict[str, Any]:
        layers = {
            str(number): {
                "updates": len(layer.updates),
                "alpha": layer.alpha,
                "mean": layer.mean,
                "deviation": layer.deviation,
            }
            for number, layer in self.layers.items()
        }
        return {"format": FORMAT, "gate": self.gate, "layers": layers}

    def tensors(self) -> dict[str, Tensor]:
        tensors = {
            f"layer.{number}.{i}.{name}": getattr(update, name)
            for number, layer in self.layers.items()
            for i, update in enumerate(layer.updates)
            for name in TENSORS
        }
        tensors |= {
            f"layer.{number}.{i}.edits": torch.tensor(update.edits, dtype=torch.int64)
            for number, layer in self.layers.items()
            for i, update in enumerate(layer.updates)
        }
        requests = [target.request for target in self.targets]
        texts = [text for request in requests for text in _texts(request)]
        numbers = {
            "edits": [request.edit_id for request in requests],
            # How many groups of contexts each edit has, and how many texts each group.
            "groups": [len(request.contexts) for request in requests],
            "group_sizes": [len(group) for request in requests for group in request.contexts],
            "text_lengths": [len(text.tokens) for text in texts],
            "text_subjects": [text.subject for text in texts],
            "text_tokens": [token for text in texts for token in text.tokens],
            "target_lengths": [len(request.target) for request in requests],
            "target_tokens": [token for request in requests for token in request.target],
        }
        for name, values in numbers.items():
            tensors[f"targets.{name}"] = torch.tensor(values, dtype=torch.int64)
        if any(text.earlier for text in texts):
            # Absent where each text names its subject once, as in artifacts from before.
            counts = [len(text.earlier) for text in texts]
            earlier = [place for text in texts for place in text.earlier]
            tensors["targets.text_earlier_counts"] = torch.tensor(counts, dtype=torch.int64)
            tensors["targets.text_earlier"] = torch.tensor(earlier, dtype=torch.int64)
        states = [target.state for target in self.targets]
        tensors["targets.states"] = torch.stack(states) if states else torch.empty(0)
        return tensors

    @classmethod
    def read(cls, header: Any, tensors: dict[str, Tensor], shape: ModelShape) -> "HooksChange":
        """Raises `ArtifactFaultError` for what can't be one of this model's."""
        check_hooks(header, tensors, shape)
        layers = {
            int(number): HookLayer(
                tuple(_update(tensors, number, i) for i in range(layer["updates"])),
                layer["alpha"],
                layer["mean"],
                layer["deviation"],
            )
            for number, layer in header["layers"].items()
        }
        return cls(Gate(header["gate"]), layers, tuple(_targets(tensors)))


def _texts(request: FactRequest) -> Iterator[SubjectText]:
    yield request.plain
    yield request.essence
    for group in request.contexts:
        yield from group


def _update(tensors: Mapping[str, Tensor], number: str, i: int) -> Update:
    left, right, keys, plain_keys = (tensors[f"layer.{number}.{i}.{name}"] for name in TENSORS)
    edits = tensors.get(f"layer.{number}.{i}.edits")
    if edits is None:  # an artifact from before they were kept
        return Update(left, right, keys, plain_keys)
    return Update(left, right, keys, plain_keys, tuple(edits.tolist()))


def _targets(tensors: Mapping[str, Tensor]) -> Iterator[FactTarget]:
    def of(name: str) -> Iterator[int]:
        numbers: list[int] = tensors[f"targets.{name}"].tolist()
        return iter(numbers)

    lengths, subjects, tokens = of("text_lengths"), of("text_subjects"), of("text_tokens")
    group_sizes, target_lengths, target_tokens = (
        of(name) for name in ("group_sizes", "target_lengths", "target_tokens")
    )

    named_once = "targets.text_earlier_counts" not in tensors
    counts = itertools.repeat(0) if named_once else of("text_earlier_counts")
    earlier = iter(()) if named_once else of("text_earlier")

    def text() -> SubjectText:
        return SubjectText(
            tuple(itertools.islice(tokens, next(lengths))),
            next(subjects),
            tuple(itertools.islice(earlier, next(counts))),
        )

    for edit_id, groups, state in zip(
        of("edits"), of("groups"), tensors["targets.states"], strict=True
    ):
        plain, essence = text(), text()
        contexts = tuple(tuple(text() for _ in range(next(group_sizes))) for _ in range(groups))
        target = tuple(itertools.islice(target_tokens, next(target_lengths)))
        yield FactTarget(FactRequest(edit_id, plain, contexts, essence, target), state)
