"""Presets: hyperparameters by model and editor, as JSON files."""

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.editing.methods import EDITORS
from service.errors import StartupError

FOLDER = Path(__file__).parent / "presets"


class Preset(BaseModel):
    """What is chosen for one model. Its values are checked when an editor is built with them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The names of its models, in small letters and without their owner's; `gpt2-xl*` also takes
    # those that begin so.
    models: list[str] = []
    sources: dict[str, str] = {}  # by editor: where its values come from
    editors: Annotated[Mapping[str, dict[str, Any]], Field(max_length=len(EDITORS))] = {}

    def of(self, editor: str) -> dict[str, Any]:
        return self.editors.get(editor, {})

    def fits(self, model: str) -> bool:
        name = base_name(model)
        return any(fnmatchcase(name, known) for known in self.models)


def base_name(model: str) -> str:
    """Of a hub id or a folder."""
    return model.rstrip("/").rpartition("/")[2].lower()


def read_preset(file: Path) -> Preset:
    """Raises `StartupError` for a file that is none."""
    try:
        preset = Preset.model_validate_json(file.read_bytes())
    except OSError as error:
        raise StartupError(f"the preset {file} can't be read: {error.strerror}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        at = f" {'.'.join(map(str, fault['loc']))}:" if fault["loc"] else ""
        raise StartupError(f"the preset {file} is none:{at} {fault['msg']}") from error
    unknown = sorted(set(preset.editors) - set(EDITORS))
    if unknown:
        raise StartupError(f"the preset {file} names no editor: {', '.join(unknown)}")
    return preset


def bundled_preset(model: str) -> Preset:
    """The literature's values for a model by that name, or an empty preset."""
    for file in sorted(FOLDER.glob("*.json")):
        preset = read_preset(file)
        if preset.fits(model):
            return preset
    return Preset()


def write_preset(file: Path, preset: Preset) -> None:
    file.write_text(json.dumps(preset.model_dump(), indent=2) + "\n")
