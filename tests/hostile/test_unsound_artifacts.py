"""Artifacts that are what their names say, and that no model could have written: an import, `errata
log verify` and a start refuse each of them alike, and say which part of which artifact is at fault.
"""

import json
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy.exc import IntegrityError
from torch import Tensor

from service.errors import ArchiveError, StartupError
from service.operations import wording
from service.operations.log_export import LogExport
from service.operations.log_import import import_log
from service.operations.overlays import Overlays
from service.operations.verification import Verification
from service.storage.archive import Archive
from service.storage.artifacts import SUFFIX, ArtifactStore
from service.storage.contents import named_artifacts
from service.storage.database import Database
from service.storage.log import Log
from tests.conftest import run_server
from tests.hostile.meddling import Change, Header, artifact_of, changed, claiming, replace
from tests.models import atlas, atlas_engine
from tests.operations.test_apply import apply
from tests.operations.test_history import currency
from tests.operations.test_hook_layers import FEW, fact
from tests.processes import errata

NAN, INFINITY = float("nan"), float("inf")
LONG = {"prompt": "The currency of Peru is the", "target_new": "euro and yen"}


@pytest.fixture(scope="module")
def codebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory of two batches; the second writes rows with labels of several lengths. Its
    edits have one phrasing each and no endings, so that few rows say all.
    """
    folder = tmp_path_factory.mktemp("codebook") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wording, "spellings_of", lambda _prompt: ())
        patch.setattr(wording, "can_be_lengthened", lambda _target: False)
        for server in run_server(folder):
            apply(server, currency("Bulgaria"))
            apply(server, LONG, currency("Chad"))
    return folder


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hooks") / "data"
    for server in run_server(folder, editor="coachhook", **FEW):
        apply(server, fact("Bulgaria"))
        apply(server, fact("Peru"), fact("Chad"))
    return folder


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, ArtifactStore]]:
    """Where imports go: those that are refused leave it empty for the next."""
    folder = tmp_path_factory.mktemp("empty")
    database = Database(f"sqlite:///{folder / 'errata.db'}")
    database.upgrade()
    yield database, ArtifactStore(folder / "artifacts")
    database.close()


def at(folder: Path) -> tuple[Database, ArtifactStore]:
    return Database(f"sqlite:///{folder / 'errata.db'}"), ArtifactStore(folder / "artifacts")


def start(database: Database, artifacts: ArtifactStore) -> None:
    Overlays(Log(database), artifacts, atlas_engine()).start()


def verify(database: Database, artifacts: ArtifactStore) -> tuple[str, ...]:
    return Verification(artifacts, atlas().shape, lambda *_: None).of(database).faults


def import_from(folder: Path, empty: tuple[Database, ArtifactStore]) -> None:
    """What the log in `folder` exports."""
    database, artifacts = at(folder)
    file = folder / "log.tar"
    LogExport(database, artifacts, lambda *_: None).to(file)
    database.close()
    with file.open("rb") as opened:
        import_log(Archive(opened), *empty, atlas().shape, lambda *_: None)


def refused_alike(
    data: Path, empty: tuple[Database, ArtifactStore], owner: str, name: str, fault: str
) -> None:
    """All three refuse it in one line each, which names the artifact and the part."""
    said = f"{owner}: artifact {name} is not sound: {fault}"
    database, artifacts = at(data)
    assert verify(database, artifacts)[0].startswith(said)
    with pytest.raises(StartupError) as at_start:
        start(database, artifacts)
    database.close()
    assert str(at_start.value).startswith(said)
    assert str(at_start.value).endswith(
        "Restore the data directory and the database from a backup."
    )
    with pytest.raises(ArchiveError) as at_import:
        import_from(data, empty)
    assert str(at_import.value).startswith(f"the archive is not whole: {said}")
    for error in (at_start, at_import):
        assert str(error.value).isprintable()
        assert len(str(error.value)) < 600
    assert (named_artifacts(empty[0]), empty[1].sizes()) == (set(), {})


def setting(name: str, at: Any, value: float) -> Change:
    """One number of a tensor."""

    def change(_header: Header, tensors: dict[str, Tensor]) -> None:
        tensors[name][at] = value

    return change


def made(name: str, make: Callable[[Tensor], Tensor]) -> Change:
    """Another tensor out of one."""

    def change(_header: Header, tensors: dict[str, Tensor]) -> None:
        tensors[name] = make(tensors[name])

    return change


def headed(*path: str, to: Any) -> Change:
    """Another value in the header."""

    def change(header: Header, _tensors: dict[str, Tensor]) -> None:
        for name in path[:-1]:
            header = header[name]
        header[path[-1]] = to

    return change


def without(name: str) -> Change:
    def change(_header: Header, tensors: dict[str, Tensor]) -> None:
        del tensors[name]

    return change


def narrower(tensor: Tensor) -> Tensor:
    return tensor[:, :-1]


def shorter(tensor: Tensor) -> Tensor:
    return tensor[:-1]


def reversed_(tensor: Tensor) -> Tensor:
    return tensor.flip(0)


def shifted(tensor: Tensor) -> Tensor:
    return tensor + 1


def more(_header: Header, tensors: dict[str, Tensor]) -> None:
    tensors["rows.\x1b[2Jmagic"] = torch.zeros(1)


CODEBOOK: list[tuple[Change, str]] = [
    (headed("format", to="errata-magic-9"), "format is 'errata-magic-9', and must be one of"),
    (
        headed("format", to=["errata-codebook-1"]),
        "format is ['errata-codebook-1'], and must be one of",
    ),
    (headed("more", to=1), "the header is no object of format, site"),
    (headed("site", to=[1]), "site is no object of layer, module, replacement"),
    (headed("site", "layer", to=99), "site.layer is 99, and must be a whole number from 0 to 5"),
    (headed("site", "layer", to=-1), "site.layer is -1, and"),
    (headed("site", "layer", to="5"), "site.layer is '5' (str), and"),
    (headed("site", "layer", to=True), "site.layer is True (bool), and"),
    (headed("site", "layer", to=5.0), "site.layer is 5.0 (float), and"),
    (headed("site", "layer", to=10**90), "site.layer is a number beyond all bounds, and"),
    (headed("site", "module", to="__class__"), "site.module is '__class__', and layer"),
    (headed("site", "module", to="attn"), "site.module is 'attn', and layer"),
    (headed("site", "module", to="attn.c_attn"), "site.module is 'attn.c_attn', and layer"),
    (headed("site", "module", to="mlp.c_proj.weight"), "site.module is 'mlp.c_proj.weight', and"),
    (headed("site", "module", to="mlp."), "site.module is 'mlp.', and layer"),
    (headed("site", "module", to=None), "site.module is None, and layer"),
    (headed("site", "module", to="\x1b[2J" * 99), r"site.module is '\x1b[2J\x1b[2J"),
    (headed("site", "replacement", to="all"), "site.replacement is 'all', and must be one of"),
    (headed("site", "replacement", to=[1]), "site.replacement is [1], and must be one of"),
    (
        headed("site", "module", to="mlp.c_proj"),
        "rows.keys has shape [4, 256], and must have [4, 20",
    ),
    (without("rows.radii"), "rows.radii is missing"),
    (more, r"'rows.\x1b[2Jmagic' is a tensor that no such artifact has"),
    (setting("rows.keys", (0, 3), NAN), "rows.keys holds a number that is not finite"),
    (setting("rows.keys", (0, 3), INFINITY), "rows.keys holds a number that is not finite"),
    (setting("rows.keys", (0, 3), 1e30), "rows.keys holds a key too long for its square"),
    (made("rows.keys", narrower), "rows.keys has shape [4, 255], and must have [4, 256]"),
    (made("rows.keys", shorter), "rows.keys has shape [3, 256], and must have [4, 256]"),
    (made("rows.keys", Tensor.flatten), "rows.keys has shape [1024], and must have [4, 256]"),
    (made("rows.keys", Tensor.double), "rows.keys is of torch.float64, and must be of torch.float"),
    (made("rows.keys", Tensor.bool), "rows.keys is of torch.bool, and must be of torch.float32"),
    (setting("rows.values", (1, 0), NAN), "rows.values holds a number that is not finite"),
    (made("rows.values", narrower), "rows.values has shape [4, 255], and must have [4, 256]"),
    (setting("rows.radii", 0, NAN), "rows.radii holds a number that is not finite"),
    (setting("rows.radii", 0, INFINITY), "rows.radii holds a number that is not finite"),
    (setting("rows.radii", 0, -0.5), "rows.radii holds -0.5, and must hold none below -1e-05"),
    (made("rows.radii", shorter), "rows.radii has shape [3], and must have [4]"),
    (
        setting("rows.labels", (0, 0), 4096),
        "rows.labels holds token 4096, and the model has 0 to 40",
    ),
    (setting("rows.labels", (0, 0), -2), "rows.labels holds token -2, and the model has 0 to 4095"),
    (setting("rows.labels", (0, 0), -1), "rows.labels has a label without tokens"),
    (setting("rows.labels", (0, 1), -1), "rows.labels has padding between the tokens of a label"),
    (made("rows.labels", shorter), "rows.labels has shape [3, 3], and must have [4, 3]"),
    (made("rows.labels", lambda t: t[:, :0]), "rows.labels has a label without tokens"),
    (made("rows.labels", Tensor.int), "rows.labels is of torch.int32, and must be of torch.int64"),
    (setting("rows.owners", 0, 0), "rows.owners holds 0, and its numbers must be from 1 on"),
    (setting("rows.owners", 0, 2**62), f"rows.owners holds {2**62}, and its numbers must be from"),
    (made("rows.owners", shorter), "rows.owners has shape [3], and must have [4]"),
    (made("rows.index", reversed_), "rows.index does not ascend"),
    (setting("rows.index", 0, -1), "rows.index holds -1, and its numbers must be from 0 on"),
    (made("rows.index", shifted), "rows.index leaves a gap behind its parent's 1 entries"),
    (made("rows.index", lambda t: t[None]), "rows.index has shape [1, 4], and must have [0]"),
    (
        made("rows.index", Tensor.float),
        "rows.index is of torch.float32, and must be of torch.int64",
    ),
    (setting("targets.edits", 0, 1), "targets.edits names edit 1, which is not of its batch"),
    (setting("targets.edits", 0, 3), "targets.edits names an edit twice"),
    (setting("targets.edits", 0, -7), "targets.edits holds -7, and its numbers must be from 1 on"),
    (setting("targets.key_counts", 0, 0), "targets.key_counts holds 0, and its numbers must be"),
    (
        setting("targets.key_counts", 0, 2),
        "targets.keys has shape [4, 256], and must have [3, 256]",
    ),
    (setting("targets.key_counts", 0, 2**61), "targets.keys has shape [4, 256], and must have [23"),
    (setting("targets.value_counts", 0, 4), "targets.values has shape [4, 256], and must have [5"),
    (
        made("targets.value_counts", shorter),
        "targets.value_counts has shape [1], and must have [2]",
    ),
    (setting("targets.value_of", 3, 1), "targets.value_of names value 1 of edit 3, which has 1"),
    (setting("targets.value_of", 0, -1), "targets.value_of holds -1, and its numbers must be"),
    (setting("targets.keys", (0, 0), NAN), "targets.keys holds a number that is not finite"),
    (setting("targets.values", (0, 0), NAN), "targets.values holds a number that is not finite"),
    (made("targets.values", narrower), "targets.values has shape [4, 255], and must have [4, 256]"),
    (setting("targets.labels", (0, 0), 9999), "targets.labels holds token 9999, and the model"),
]


def meddled(source: Path, target: Path, change: Change) -> tuple[Path, str]:
    """The same log with a meddled second version, and that one's artifact."""
    data = shutil.copytree(source, target / "data")
    name = artifact_of(data, 2)
    content = (data / "artifacts" / f"{name}.safetensors").read_bytes()
    return data, replace(data, name, changed(content, change))


@pytest.mark.parametrize(("change", "fault"), CODEBOOK, ids=[fault for _, fault in CODEBOOK])
def test_a_codebook(
    change: Change,
    fault: str,
    codebook: Path,
    empty: tuple[Database, ArtifactStore],
    tmp_path: Path,
) -> None:
    data, name = meddled(codebook, tmp_path, change)
    refused_alike(data, empty, "version 2 (batch 2)", name, fault)


def enormous(_header: Header, tensors: dict[str, Tensor]) -> None:
    for name in ("left", "right"):
        tensors[f"layer.0.0.{name}"][0, 0] = 1e30


def columnless(_header: Header, tensors: dict[str, Tensor]) -> None:
    for name in ("left", "right", "keys", "plain_keys"):
        tensors[f"layer.0.0.{name}"] = tensors[f"layer.0.0.{name}"][:, :0]


STATES = "targets.states"
LAYER = ("layers", "0")
HOOKS: list[tuple[Change, str]] = [
    (
        headed("gate", to="magic"),
        "gate is 'magic', and must be one of always, sequence, calibrated",
    ),
    (headed("gate", to={}), "gate is {}, and must be one of"),
    (headed("gate", to="always"), "gate is 'always', and its parent's is 'sequence'"),
    (headed("layers", to=[]), "layers is no object"),
    (headed("layers", "99", to={}), "layers names layer '99', and the model has 0 to 5"),
    (headed("layers", "01", to={}), "layers names layer '01', and the model has 0 to 5"),
    (headed("layers", "-1", to={}), "layers names layer '-1', and the model has 0 to 5"),
    (headed("layers", "4", to={}), "layers.4 is no object of alpha, deviation, mean, updates"),
    (headed(*LAYER, "updates", to=True), "layers.0.updates is True (bool), and must be"),
    (headed(*LAYER, "updates", to="1"), "layers.0.updates is '1' (str), and must be"),
    (headed(*LAYER, "updates", to=-1), "layers.0.updates is -1, and must be"),
    (headed(*LAYER, "updates", to=10**15), "layers.0.updates is 1000000000000000, and there are"),
    (headed(*LAYER, "updates", to=2), "layer.0.1.keys is missing"),
    (headed(*LAYER, "updates", to=0), "'layer.0.0.edits' is a tensor that no such artifact has"),
    (headed(*LAYER, "alpha", to=NAN), "layers.0.alpha is not a number"),
    (headed(*LAYER, "alpha", to="2.2"), "layers.0.alpha is '2.2' (str), and must be a number"),
    (headed(*LAYER, "alpha", to=10**90), "layers.0.alpha is a number beyond all bounds, and"),
    (headed(*LAYER, "alpha", to=-INFINITY), "layers.0.alpha is not finite"),
    (headed(*LAYER, "mean", to=-1.0), "layers.0.mean is negative or not finite"),
    (headed(*LAYER, "deviation", to=INFINITY), "layers.0.deviation is negative or not finite"),
    (headed(*LAYER, "deviation", to=False), "layers.0.deviation is False (bool), and must be"),
    (headed("gate", to="calibrated"), "layers.0.deviation is 0, and the gate 'calibrated' divides"),
    (setting("layer.0.0.left", (0, 0), NAN), "layer.0.0.left holds a number that is not finite"),
    (setting("layer.0.0.right", (0, 0), NAN), "layer.0.0.right holds a number that is not finite"),
    (setting("layer.0.0.keys", (0, 0), NAN), "layer.0.0.keys holds a number that is not finite"),
    (columnless, "layer.0.0.left is of no edit"),
    (enormous, "layer.0.0.left is so large that layer.0.0.right makes it infinite"),
    (made("layer.0.0.left", shorter), "layer.0.0.left has shape [255, 2], and must have [256, 2]"),
    (made("layer.0.0.left", Tensor.half), "layer.0.0.left is of torch.float16, and must be of"),
    (made("layer.0.0.left", Tensor.flatten), "layer.0.0.left has 1 dimensions, and must have 2"),
    (made("layer.0.0.right", narrower), "layer.0.0.right has shape [2048, 1], and must have [20"),
    (
        made("layer.0.0.keys", narrower),
        "layer.0.0.keys has shape [2048, 1], and must have [2048, 2]",
    ),
    (made("layer.0.0.plain_keys", shorter), "layer.0.0.plain_keys has shape [2047, 0], and must"),
    (made("layer.0.0.edits", shorter), "layer.0.0.edits has shape [1], and must have [2]"),
    (setting("layer.0.0.edits", 0, 0), "layer.0.0.edits holds 0, and its numbers must be"),
    (without("targets.groups"), "targets.groups is missing"),
    (setting("targets.edits", 0, 1), "targets.edits names edit 1, which is not of its batch"),
    (setting("targets.edits", 0, 3), "targets.edits names an edit twice"),
    (setting("targets.groups", 0, 0), "targets.groups holds 0, and its numbers must be from 1 on"),
    (setting("targets.groups", 0, 2**60), "targets.group_sizes has shape [4], and must have [11"),
    (
        setting("targets.group_sizes", 0, 2**60),
        "targets.text_lengths has shape [16], and must have",
    ),
    (setting("targets.group_sizes", 0, 0), "targets.group_sizes holds 0, and its numbers must be"),
    (setting("targets.text_lengths", 0, -3), "targets.text_lengths holds -3, and its numbers"),
    (setting("targets.text_lengths", 0, 99), "targets.text_tokens has shape ["),
    (setting("targets.text_subjects", 0, 99), "targets.text_subjects is at token 99 of text 0"),
    (setting("targets.text_subjects", 0, -1), "targets.text_subjects holds -1, and its numbers"),
    (
        setting("targets.text_tokens", 0, 4096),
        "targets.text_tokens holds 4096, and its numbers must",
    ),
    (
        setting("targets.target_tokens", 0, -1),
        "targets.target_tokens holds -1, and its numbers must",
    ),
    (
        setting("targets.target_lengths", 0, 0),
        "targets.target_lengths holds 0, and its numbers must",
    ),
    (setting("targets.target_lengths", 0, 9), "targets.target_tokens has shape ["),
    (setting(STATES, (0, 0), NAN), "targets.states holds a number that is not finite"),
    (made(STATES, narrower), "targets.states has shape [2, 255], and must have [2, 256]"),
    (made(STATES, shorter), "targets.states has shape [1, 256], and must have [2, 256]"),
]


@pytest.mark.parametrize(("change", "fault"), HOOKS, ids=[fault for _, fault in HOOKS])
def test_hook_layers(
    change: Change,
    fault: str,
    hooks: Path,
    empty: tuple[Database, ArtifactStore],
    tmp_path: Path,
) -> None:
    data, name = meddled(hooks, tmp_path, change)
    refused_alike(data, empty, "version 2 (batch 2)", name, fault)


def with_metadata(errata: str) -> bytes:
    text = json.dumps({"__metadata__": {"errata": errata}}).encode()
    return struct.pack("<Q", len(text)) + text


FILES: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda _: b"", "the file can't be read: "),
    (lambda content: content[:-1], "the file can't be read: SafetensorError: "),
    (lambda content: b"\xff" * 8 + content[8:], "the file can't be read: "),
    (lambda _: with_metadata("[" * 99_999), "the file can't be read: RecursionError: "),
    (lambda _: with_metadata("9" * 9_999), "the file can't be read: ValueError: "),
    (lambda _: with_metadata("7"), "format is None, and must be one of"),
    # Sizes that are claimed, and nothing behind them.
    (lambda content: claiming(content, rows_keys=[2**40, 256]), "the file can't be read: "),
    (lambda content: claiming(content, rows_labels=[2**60, 0]), "the file can't be read: "),
]


@pytest.mark.parametrize(("write", "fault"), FILES, ids=[str(i) for i in range(len(FILES))])
def test_a_file(
    write: Callable[[bytes], bytes],
    fault: str,
    codebook: Path,
    empty: tuple[Database, ArtifactStore],
    tmp_path: Path,
) -> None:
    data = shutil.copytree(codebook, tmp_path / "data")
    name = artifact_of(data, 2)
    content = (data / "artifacts" / f"{name}.safetensors").read_bytes()
    name = replace(data, name, write(content))
    refused_alike(data, empty, "version 2 (batch 2)", name, fault)


def test_rows_that_take_no_room_are_not_counted_out(
    codebook: Path, empty: tuple[Database, ArtifactStore], tmp_path: Path
) -> None:
    """Safetensors takes any number of rows of a shape with a zero in it."""
    data, name = meddled(codebook, tmp_path, made("rows.labels", lambda t: t[:, :0]))
    content = (data / "artifacts" / f"{name}.safetensors").read_bytes()
    name = replace(data, name, claiming(content, rows_labels=[2**60, 0]))
    fault = f"rows.labels has shape [{2**60}, 0], and must have [4, 0]"
    refused_alike(data, empty, "version 2 (batch 2)", name, fault)


def whole_parent(data: Path) -> bytes:
    """The first version's artifact, whose rows are its whole state."""
    name = artifact_of(data, 1)
    return (data / "artifacts" / f"{name}.safetensors").read_bytes()


SNAPSHOTS: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda content: content, " has checksum "),
    (
        lambda content: changed(content, setting("rows.keys", (0, 0), NAN)),
        ": artifact {name} is not sound: rows.keys holds a number that is not finite",
    ),
    (
        lambda content: changed(content, made("rows.index", shifted)),
        ": artifact {name} is not sound: rows.index leaves a gap behind its parent's 0 entries",
    ),
    (lambda _: b"x", ": artifact {name} is not sound: the file can't be read: "),
]


@pytest.mark.parametrize(("write", "fault"), SNAPSHOTS, ids=["other", "number", "gap", "file"])
def test_a_snapshot_is_made_anew(
    write: Callable[[bytes], bytes],
    fault: str,
    codebook: Path,
    empty: tuple[Database, ArtifactStore],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A start tells of a damaged one, and serves what it should have held."""
    data = shutil.copytree(codebook, tmp_path / "data")
    database, artifacts = at(data)
    name = artifacts.put(write(whole_parent(data)))
    Log(database).add_snapshot(2, name)
    said = "the snapshot of version 2" + fault.format(name=name)
    assert verify(database, artifacts)[0].startswith(said)
    with pytest.raises(ArchiveError, match="the archive is not whole: the snapshot of version 2"):
        import_from(data, empty)
    assert (named_artifacts(empty[0]), empty[1].sizes()) == (set(), {})
    start(database, artifacts)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert Log(database).snapshots(until=2)[2] != name
    assert verify(database, artifacts) == ()
    caplog.clear()
    start(database, artifacts)
    assert caplog.records == []
    database.close()


def test_a_snapshot_that_is_gone_is_made_anew(codebook: Path, tmp_path: Path) -> None:
    data = shutil.copytree(codebook, tmp_path / "data")
    database, artifacts = at(data)
    Log(database).add_snapshot(2, "a" * 64)
    start(database, artifacts)
    assert verify(database, artifacts) == ()
    database.close()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (setting("rows.keys", (0, 0), NAN), "rows.keys holds a number that is not finite"),
        (made("rows.index", shifted), "rows.index leaves a gap behind its parent's 1 entries"),
        (headed("site", "layer", to=2), "site is Site(layer=2, module='mlp', replacement="),
    ],
    ids=["number", "gap", "site"],
)
def test_versions_that_are_not_served_count_too(
    change: Change,
    fault: str,
    codebook: Path,
    empty: tuple[Database, ArtifactStore],
    tmp_path: Path,
) -> None:
    """History can be asked: the meddled version was undone, and the last one does without it."""
    data, name = meddled(codebook, tmp_path, change)
    columns = "parent, artifact, checksum, actor, reason, created_at"
    with closing(sqlite3.connect(data / "errata.db")) as connection, connection:
        connection.execute(
            f"INSERT INTO versions (version, kind, batch_ids, edit_ids, {columns}) "
            "SELECT 3, 'rollback', '[2]', '[]', 1, NULL, checksum, actor, 'test', created_at "
            "FROM versions WHERE version = 1"
        )
        connection.execute("UPDATE batches SET status = 'rolled_back' WHERE id = 2")
        connection.execute("UPDATE edits SET status = 'rolled_back' WHERE batch_id = 2")
    refused_alike(data, empty, "version 2 (batch 2)", name, fault)


def test_a_batch_whose_artifact_is_not_its_versions(
    codebook: Path, empty: tuple[Database, ArtifactStore], tmp_path: Path
) -> None:
    """A replay would read it."""
    data = shutil.copytree(codebook, tmp_path / "data")
    content = changed(whole_parent(data), setting("targets.values", (0, 0), NAN))
    name = ArtifactStore(data / "artifacts").put(content)
    with closing(sqlite3.connect(data / "errata.db")) as connection, connection:
        connection.execute("UPDATE batches SET artifact = ? WHERE id = 1", [name])
    fault = "targets.values holds a number that is not finite"
    refused_alike(data, empty, "batch 1", name, fault)


def test_a_version_over_none_before_it(codebook: Path, tmp_path: Path) -> None:
    data = shutil.copytree(codebook, tmp_path / "data")
    with closing(sqlite3.connect(data / "errata.db")) as connection, connection:
        connection.execute("UPDATE versions SET parent = 7 WHERE version = 2")
    database, artifacts = at(data)
    with pytest.raises(StartupError, match="version 2: its parent, version 7, is not there before"):
        start(database, artifacts)
    database.close()


def test_an_import_whose_rows_fail_takes_its_artifacts_back(
    codebook: Path, empty: tuple[Database, ArtifactStore], tmp_path: Path
) -> None:
    data = shutil.copytree(codebook, tmp_path / "data")
    with closing(sqlite3.connect(data / "errata.db")) as connection, connection:
        connection.execute("UPDATE events SET edit_id = 99 WHERE id = 1")
    there = empty[1].put(b"another's")
    with pytest.raises(IntegrityError):
        import_from(data, empty)
    assert empty[1].sizes().keys() == {there}
    empty[1].remove(f"{there}{SUFFIX}", datetime.max.replace(tzinfo=UTC))


@pytest.mark.parametrize("kind", ["codebook", "hooks"])
def test_what_is_sound_is_taken(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    data = shutil.copytree(request.getfixturevalue(kind), tmp_path / "data")
    database, artifacts = at(data)
    assert verify(database, artifacts) == ()
    start(database, artifacts)
    database.close()
    fresh = at(tmp_path)
    fresh[0].upgrade()
    import_from(data, fresh)
    start(*fresh)
    fresh[0].close()


def test_the_commands_say_so_in_a_line(codebook: Path, tmp_path: Path) -> None:
    data, name = meddled(codebook, tmp_path, setting("rows.keys", (0, 0), NAN))
    fault = f"version 2 (batch 2): artifact {name} is not sound: rows.keys holds a number"
    file, other = tmp_path / "log.tar", tmp_path / "other"
    where = {"ERRATA_DATA_DIR": str(data)}
    verified = errata("log", "verify", **where)
    assert (verified.exit_code, verified.stdout.splitlines()[0][: len(fault)]) == (1, fault)
    started = errata("serve", **where, ERRATA_PORT="0", ERRATA_ADMIN_KEY="a-key-for-tests")
    assert (started.exit_code, started.stdout) == (1, "")
    assert started.stderr.startswith(f"error: {fault}")
    assert started.stderr.count("\n") == 1
    assert errata("log", "export", str(file), **where).exit_code == 0
    done = errata("log", "import", str(file), ERRATA_DATA_DIR=str(other))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.strip("\n").startswith(f"error: the archive is not whole: {fault}")
    assert list((other / "artifacts").iterdir()) == []
