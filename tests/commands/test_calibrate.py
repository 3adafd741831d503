"""`errata calibrate`."""

import json
from pathlib import Path

from tests.processes import errata

ALL = ("--limit", "6", "--batch", "3")


def test_the_best_of_a_grid_becomes_a_preset(tmp_path: Path) -> None:
    preset = tmp_path / "preset.json"
    variables = {"ERRATA_DATA_DIR": str(tmp_path / "data")}
    grid = ("--try", "layer=[5]", "--try", "radius=[0.001,4.0]")
    first = errata("calibrate", str(preset), *ALL, *grid, **variables)
    assert first.exit_code == 0, first.stderr
    assert "holds the best of 2" in first.stdout
    found = json.loads(preset.read_text())
    trials = json.loads((tmp_path / "preset.trials.json").read_text())["trials"]
    best = max(trials, key=lambda one: one["score"])
    assert found["editors"] == {"grace": best["hyperparameters"]}
    assert found["models"] == ["atlas"]
    assert found["sources"]["grace"].startswith("errata calibrate, ")

    # A trial that was made is not made again: its seconds stay.
    wider = ("--try", "layer=[5]", "--try", "radius=[0.001,4.0,2.0]")
    again = errata("calibrate", str(preset), *ALL, *wider, **variables)
    assert "holds the best of 3" in again.stdout
    now = json.loads((tmp_path / "preset.trials.json").read_text())["trials"]
    assert [one for one in now if one in trials] == trials

    other = errata("calibrate", str(preset), *ALL, "--limit", "4", *grid, **variables)
    assert other.exit_code == 1
    assert "is of another calibration" in other.stderr


def test_what_cannot_be_tried(tmp_path: Path) -> None:
    preset, data = str(tmp_path / "preset.json"), str(tmp_path / "data")
    for wrong in ("steps", "steps=", "steps=30", "steps=[]"):
        assert errata("calibrate", preset, "--try", wrong).exit_code == 2
    grid = ("--try", "layer=[9]", "--try", "radius=[1.0]")
    refused = errata("calibrate", preset, *ALL, *grid, ERRATA_DATA_DIR=data)
    assert refused.exit_code == 1
    assert "the model has no layer 9" in refused.stderr
    notes = tmp_path / "notes.json"
    notes.write_text("[]")
    refused = errata("calibrate", str(notes), *ALL, ERRATA_DATA_DIR=data)
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"error: the preset {notes} is none: ")
    assert not (tmp_path / "notes.trials.json").exists()


def test_the_editor_is_the_environments_and_faults_are_found_first(tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    file.write_text('[{"prompt": "Rome is in", "target_new": "Peru", "target_true": "Italy"}]')
    preset = str(tmp_path / "preset.json")
    variables = {"ERRATA_DATA_DIR": str(tmp_path / "data"), "ERRATA_EDITOR": "memit"}
    found = errata("calibrate", preset, "--dataset", str(file), **variables)
    assert found.exit_code == 1
    assert "record 1 (line 1): subject: is missing, and the editor goes by it" in found.stderr
    own = errata("calibrate", preset, "--dataset", str(file), "--editor", "grace", **variables)
    assert own.stderr == f"error: the model knows none of the facts of {file}\n"
