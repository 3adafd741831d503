"""`errata stats`."""

import json
import shutil
from pathlib import Path

from tests.models import atlas_statistics
from tests.processes import errata


def stats(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    settings = {"ERRATA_DATA_DIR": str(folder), "ERRATA_DYNAMIC_MULTIPLIER": "1", **variables}
    result = errata("stats", *arguments, **settings)
    return result.exit_code, result.stdout, result.stderr


def test_statistics_are_made_once_and_shown(tmp_path: Path) -> None:
    code, printed, said = stats(tmp_path, "--layers", "3,1", "--json")
    rows = json.loads(printed)
    assert (code, said) == (0, "")
    assert [(row["layer"], row["inputs"]) for row in rows] == [(1, 2048), (3, 2048)]
    assert all(row["vectors"] >= 2048 and row["source"] == "samples-1x" for row in rows)
    files = sorted(tmp_path.glob("statistics/*/samples-1x/layer-*.safetensors"))
    written = [file.stat().st_mtime_ns for file in files]
    assert len(files) == 2
    assert json.loads(stats(tmp_path, "--layers", "3,1", "--json")[1]) == rows
    assert [file.stat().st_mtime_ns for file in files] == written
    assert "samples-1x" in stats(tmp_path, "--layers", "1")[1]


def test_a_text_file_is_another_source(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The capital of Peru is Lima. " * 400)
    code, printed, _ = stats(tmp_path, "--layers", "0", "--json", ERRATA_STATISTICS_TEXT=str(text))
    assert code == 0
    assert json.loads(printed)[0]["source"].startswith("text-")


def test_what_is_refused_says_the_figures(tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("The capital of Peru is Lima.")
    code, _, said = stats(tmp_path, "--layers", "0", ERRATA_STATISTICS_TEXT=str(text))
    assert code == 1
    assert "has 7 tokens, and 2048 are asked for (1 for each of the 2048 inputs" in said
    code, _, said = stats(tmp_path, "--layers", "8")
    assert (code, said) == (1, "error: layers: the model has no layer 8; it has 0 to 5\n")
    missing = stats(tmp_path, "--layers", "0", ERRATA_STATISTICS_TEXT=str(tmp_path / "none"))
    assert missing[0] == 1
    assert "can't be read" in missing[2]


def test_a_relation_space_is_fitted_once_and_shown(tmp_path: Path) -> None:
    shutil.copytree(atlas_statistics(), tmp_path / "statistics")
    (file,) = tmp_path.glob("statistics/*/questions-*/relations-3-1.safetensors")
    written = file.stat().st_mtime_ns
    code, printed, _ = stats(tmp_path, "--editor", "entity", "--json")
    assert code == 0
    (row,) = json.loads(printed)
    assert (row["layer"], row["sentence_layer"]) == (3, 1)
    assert 0 < row["decoded_radius"] < row["asked_radius"] < 1
    assert file.stat().st_mtime_ns == written
    assert row["sha256"][:12] in stats(tmp_path, "--editor", "entity")[1]


def test_how_far_keys_reach_is_shown(tmp_path: Path) -> None:
    code, printed, _ = stats(tmp_path, "--editor", "grace", "--json")
    assert (code, json.loads(printed)) == (0, [{"plain": 4.0}])
    assert "radius, plain" in stats(tmp_path, "--editor", "grace")[1]
