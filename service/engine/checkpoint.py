"""A model's folder, looked at before gigabytes are read: whatever it lacks has a name here."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import safe_open
from transformers import AutoConfig, PretrainedConfig

from service.atlas import MODEL_DIR
from service.editing.architectures import check_architecture
from service.errors import StartupError

BUNDLED = "atlas"
# What is taken from a hub: no pickles, no code.
HUB_FILES = ["*.safetensors", "*.json", "tokenizer.model", "*.txt", "*.jinja"]
CONFIGURATION = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# Where it is installed, peft adds an adapter to what is loaded, from a pickle too.
ADAPTER = "adapter_config.json"
# Of a configuration: other weights, which transformers loads in place of those looked at here.
OTHER_WEIGHTS = "transformers_weights"
SUFFIX = ".safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth")
CHUNK = 1 << 20
NAMED = 3  # of many files or weights at fault


def folder_of(name: str, revision: str | None, files: Sequence[str] = HUB_FILES) -> Path:
    """Where a model's `files` are, fetched from the hub if need be. Raises `StartupError`."""
    local = MODEL_DIR if name == BUNDLED else Path(name)
    if local.is_dir():
        if revision is not None:
            raise StartupError(
                f"ERRATA_REVISION '{revision}' is of a hub model, and ERRATA_MODEL '{name}' is a "
                "folder: unset it"
            )
        return local
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[*files]))
    except (OSError, HfHubHTTPError, HFValidationError, ValueError) as error:
        at = "" if revision is None else f" at revision '{revision}'"
        raise StartupError(
            f"ERRATA_MODEL '{name}' is neither '{BUNDLED}' nor a local folder, and could not be "
            f"fetched from the hub{at}: {first_line(error)}"
        ) from error


def first_line(error: Exception) -> str:
    """What an error says, and of which kind it is where that says more than its words."""
    line = (str(error).strip().splitlines() or [""])[0]
    if line and isinstance(error, OSError | ValueError | ImportError | RuntimeError):
        return line
    return f"{type(error).__name__}: {line}"


def some(names: list[str]) -> str:
    """A few of many names."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def configuration_of(folder: Path) -> PretrainedConfig:
    """Raises `StartupError` for a model type that can't be edited, `ValueError` for no
    configuration, and for one that has more loaded than this folder's own weights.
    """
    found = _json(folder / CONFIGURATION)
    if not isinstance(found, dict) or not isinstance(found.get("model_type"), str):
        raise ValueError(f"{CONFIGURATION} names no model_type")
    check_architecture(found["model_type"])
    if OTHER_WEIGHTS in found:
        raise ValueError(
            f"{CONFIGURATION} names {OTHER_WEIGHTS}: only {WEIGHTS} and {INDEX} are read"
        )
    if (folder / ADAPTER).exists():
        raise ValueError(
            f"it holds an adapter ({ADAPTER}): merge it into the weights, and remove it"
        )
    with _naming(CONFIGURATION):
        config: PretrainedConfig = AutoConfig.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    # By a name that it finds here, transformers may fetch code of a hub. A setting has its say.
    config._attn_implementation = None
    return config


def weights_in(folder: Path) -> int:
    """How many numbers the weights are. Raises `ValueError` for weights that are not there, not
    whole, or no safetensors.
    """
    return sum(_numbers(file) for file in _weight_files(folder))


def fingerprint_of(folder: Path, form: str) -> str:
    """sha256 of configuration, weight and tokenizer files, and of the `form` that the weights are
    loaded in.
    """
    hasher = hashlib.sha256(form.encode())
    config = json.loads((folder / CONFIGURATION).read_text())
    hasher.update(json.dumps(config, sort_keys=True).encode())
    # The tokenizer decides what a prompt is, and so which keys it has.
    files = [*folder.glob("*.safetensors"), *folder.glob("tokenizer*")]
    for path in sorted(files):
        hasher.update(path.name.encode())
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                hasher.update(chunk)
    return hasher.hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
        reason = f"it has no weights in safetensors, neither {WEIGHTS} nor {INDEX}"
        if pickles:
            reason += (
                f"; {some(pickles)} would run code when read, and never is: convert it to "
                "safetensors"
            )
        raise ValueError(reason)
    index = _json(folder / INDEX)
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict) or not shards:
        raise ValueError(f"{INDEX} has no weight_map")
    names = sorted({str(name) for name in shards.values()})
    # Others are in no fingerprint.
    foreign = [name for name in names if "/" in name or not name.endswith(SUFFIX)]
    if foreign:
        raise ValueError(f"{INDEX} names what is no {SUFFIX} file beside it: {some(foreign)}")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"{INDEX} names files that are not there: {some(missing)}")
    return [folder / name for name in names]


def _numbers(file: Path) -> int:
    """Read from the file's header, which is checked against the file's length."""
    with _naming(file.name), safe_open(file, framework="pt") as opened:
        return sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118


def _json(file: Path) -> Any:
    if not file.is_file():
        raise ValueError(f"it has no {file.name}")
    with _naming(file.name):
        return json.loads(file.read_text(encoding="utf-8"))


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Errors that do not say which file they are about."""
    try:
        yield
    except Exception as error:  # the libraries raise whatever their parts do
        raise ValueError(f"{name} can't be read: {' '.join(str(error).split())}") from error
