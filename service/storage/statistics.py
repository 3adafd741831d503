"""What was found out about the model once and is dear to find again: statistics of its keys, and
text of its own. Files beside the log, by the model's fingerprint.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from service.editing.accumulation import Accumulation
from service.editing.deferral_radii import DeferralRadii
from service.editing.entity.relation_space import RelationSpace
from service.editing.key_statistics import KeyStatistics
from service.errors import StartupError
from service.storage.files import write_whole

NUMBERS = ("layer", "sentence_layer", "asked_radius", "decoded_radius")
PREFIX = 16  # characters of the fingerprint that name the folder


class StatisticsStore:
    """`<folder>/<fingerprint>/<source>/layer-<number>.safetensors`, and what led there."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder / fingerprint[:PREFIX]
        self._fingerprint = fingerprint
        self._folder.mkdir(parents=True, exist_ok=True)

    def load(self, source: str, layer: int) -> KeyStatistics | None:
        """Raises `StartupError` for a file of another model."""
        found = self._read(self._layer_file(source, layer))
        if found is None:
            return None
        vectors = int(found["vectors"])
        return KeyStatistics(source, found["second_moment"], found["keys"], vectors)

    def save(self, layer: int, statistics: KeyStatistics) -> None:
        tensors = {
            "second_moment": statistics.second_moment,
            "keys": statistics.keys,
            "vectors": torch.tensor(statistics.vectors),
        }
        self._write(self._layer_file(statistics.source, layer), tensors)

    def load_progress(self, source: str, layers: Sequence[int]) -> Accumulation:
        """What was added up for these layers before an interruption."""
        found = self._read(self._progress_file(source))
        numbers = None if found is None else found["layers"].tolist()
        if found is None or numbers != list(layers):
            return Accumulation.empty(layers)
        return Accumulation(
            {n: found[f"sum.{n}"] for n in layers},
            {n: found[f"kept.{n}"] for n in layers},
            int(found["vectors"]),
            int(found["texts"]),
        )

    def save_progress(self, source: str, progress: Accumulation) -> None:
        tensors = {
            "layers": torch.tensor(list(progress.sums)),
            "vectors": torch.tensor(progress.vectors),
            "texts": torch.tensor(progress.texts),
        }
        tensors |= {f"sum.{n}": total.cpu() for n, total in progress.sums.items()}
        tensors |= {f"kept.{n}": kept for n, kept in progress.kept.items()}
        self._write(self._progress_file(source), tensors)

    def drop_progress(self, source: str) -> None:
        self._progress_file(source).unlink(missing_ok=True)

    def samples(self) -> list[tuple[int, ...]]:
        """The model's own texts, as far as they were made."""
        found = self._read(self._folder / "samples.safetensors")
        if found is None:
            return []
        tokens, ends = found["tokens"].tolist(), found["ends"].tolist()
        return [tuple(tokens[a:b]) for a, b in zip([0, *ends], ends, strict=False)]

    def save_samples(self, texts: Sequence[Sequence[int]]) -> None:
        ends = torch.tensor([len(text) for text in texts]).cumsum(dim=0)
        tokens = torch.tensor([token for text in texts for token in text])
        self._write(self._folder / "samples.safetensors", {"tokens": tokens, "ends": ends})

    def load_space(self, source: str, layer: int, sentence_layer: int) -> RelationSpace | None:
        """Raises `StartupError` for a file of another model."""
        found = self._read(self._space_file(source, layer, sentence_layer))
        if found is None:
            return None
        numbers = {name: float(found.pop(name)) for name in NUMBERS}
        return RelationSpace.read(numbers, found)

    def save_space(self, source: str, space: RelationSpace) -> None:
        numbers = {
            name: torch.tensor(number, dtype=torch.float64)
            for name, number in space.numbers().items()
        }
        file = self._space_file(source, space.layer, space.sentence_layer)
        self._write(file, {**space.tensors(), **numbers})

    def load_radii(self, source: str, layer: int, module: str) -> DeferralRadii | None:
        """Raises `StartupError` for a file of another model."""
        found = self._read(self._radii_file(source, layer, module))
        if found is None:
            return None
        return DeferralRadii(**{name: float(radius) for name, radius in found.items()})

    def save_radii(self, source: str, layer: int, module: str, radii: DeferralRadii) -> None:
        tensors = {
            name: torch.tensor(radius, dtype=torch.float64)
            for name, radius in radii.numbers().items()
            if radius is not None
        }
        self._write(self._radii_file(source, layer, module), tensors)

    def _radii_file(self, source: str, layer: int, module: str) -> Path:
        return self._folder / source / f"radii-{layer}-{module}.safetensors"

    def _space_file(self, source: str, layer: int, sentence_layer: int) -> Path:
        return self._folder / source / f"relations-{layer}-{sentence_layer}.safetensors"

    def _layer_file(self, source: str, layer: int) -> Path:
        return self._folder / source / f"layer-{layer}.safetensors"

    def _progress_file(self, source: str) -> Path:
        return self._folder / source / "progress.safetensors"

    def _read(self, file: Path) -> dict[str, Tensor] | None:
        if not file.exists():
            return None
        try:
            with safe_open(file, framework="pt") as opened:
                owner = json.loads(opened.metadata()["errata"])["fingerprint"]
                if owner != self._fingerprint:
                    raise StartupError(
                        f"{file} is of the model with fingerprint {owner[:12]}, and this one's is "
                        f"{self._fingerprint[:12]}: remove it, and it is made anew"
                    )
                return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise StartupError(f"{file} is damaged: remove it, and it is made anew") from error

    def _write(self, file: Path, tensors: dict[str, Tensor]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"errata": json.dumps({"fingerprint": self._fingerprint})}
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        write_whole(file, save(contiguous, metadata=metadata))
