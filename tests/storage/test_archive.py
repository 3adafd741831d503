"""Logs go from any database to any other; a file that is not what it says changes nothing."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from service.domain.keys import Scope
from service.editing.codebook import Codebook
from service.editing.overlays import BASE_CHECKSUM
from service.errors import ArchiveError, StartupError
from service.operations.log_export import LogExport
from service.operations.log_import import import_log
from service.storage.archive import Archive
from service.storage.artifacts import ArtifactStore
from service.storage.contents import contents
from service.storage.database import Database
from service.storage.keys import KeyRing
from service.storage.log import Log
from service.storage.manifest import MANIFEST
from service.storage.records import (
    TABLES,
    BatchRecord,
    EditRecord,
    EventRecord,
    SubmissionRecord,
    VersionRecord,
)
from tests.shapes import small
from tests.storage import logs

BATCHES = 3


@dataclass(frozen=True)
class Store:
    database: Database
    artifacts: ArtifactStore

    def rows(self) -> list[Any]:
        faults: list[str] = []
        with contents(self.database) as rows:
            found = [record for kind in TABLES for record in rows.of(kind, faults.append)]
        assert faults == []
        return found

    def take(self, file: Path) -> None:
        with file.open("rb") as opened:
            import_log(Archive(opened), self.database, self.artifacts, small(8, 8), lambda *_: None)


@pytest.fixture
def here(database: Database, tmp_path: Path) -> Store:
    return Store(database, ArtifactStore(tmp_path / "here"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of SQLite's, as a file."""
    folder = tmp_path_factory.mktemp("exported")
    database = Database(f"sqlite:///{folder / 'errata.db'}")
    database.upgrade()
    artifacts = ArtifactStore(folder / "artifacts")
    logs.write(database, artifacts, BATCHES)
    LogExport(database, artifacts, lambda *_: None).to(folder / "log.tar")
    database.close()
    return folder / "log.tar"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Store]:
    database = Database(f"sqlite:///{tmp_path / 'fresh.db'}")
    database.upgrade()
    yield Store(database, ArtifactStore(tmp_path / "fresh"))
    database.close()


def test_a_log_comes_from_and_goes_to_every_database(
    here: Store, fresh: Store, exported: Path, tmp_path: Path
) -> None:
    here.take(exported)
    out = tmp_path / "again.tar"
    LogExport(here.database, here.artifacts, lambda *_: None).to(out)
    fresh.take(out)
    assert fresh.rows() == here.rows()
    assert len(here.rows()) == 1 + BATCHES + (BATCHES + 1) + 2 * BATCHES + 4 * BATCHES
    assert fresh.artifacts.sizes() == here.artifacts.sizes()
    with exported.open("rb") as one, out.open("rb") as other:
        first, second = Archive(one).manifest, Archive(other).manifest
    assert (first.counts, first.members) == (second.counts, second.members)


def test_ids_go_on_after_those_that_came(here: Store, exported: Path) -> None:
    here.take(exported)
    before = {kind: [row.key for row in here.rows() if isinstance(row, kind)] for kind in TABLES}
    logs.apply(here.database, here.artifacts, Codebook.empty(), BATCHES)
    for kind, more in (
        (SubmissionRecord, 1),
        (EditRecord, 1),
        (BatchRecord, 1),
        (VersionRecord, 1),
        (EventRecord, 4),
    ):
        last = before[kind][-1]
        keys = [row.key for row in here.rows() if isinstance(row, kind)]
        assert keys == [*before[kind], *range(last + 1, last + 1 + more)]


def test_no_key_is_taken_for_an_owner_that_the_log_names(here: Store, exported: Path) -> None:
    ring = KeyRing(here.database)
    ring.add("admin", Scope.ADMIN, "one")  # sees all edits anyway, as the log's own key:1 might
    here.take(exported)
    assert ring.add("shop", Scope.EDIT, "two").id > 1


def test_keys_made_after_an_import_own_nothing_of_it(here: Store, exported: Path) -> None:
    here.take(exported)
    assert KeyRing(here.database).add("shop", Scope.EDIT, "one").id == 2


def test_keys_made_before_an_import_take_no_edits(here: Store, exported: Path) -> None:
    KeyRing(here.database).add("shop", Scope.EDIT, "one")
    with pytest.raises(ArchiveError, match="key 1, made here before, would own edits"):
        here.take(exported)
    assert Log(here.database).last() == 0


def test_a_log_that_is_there_stays(here: Store, exported: Path) -> None:
    logs.write(here.database, here.artifacts, 1)
    before = here.rows()
    with pytest.raises(ArchiveError, match="not empty: it has versions"):
        here.take(exported)
    assert here.rows() == before
    assert len(here.artifacts.sizes()) == 1


def test_a_log_of_another_model_is_refused(here: Store, exported: Path) -> None:
    Log(here.database).open("other", "e" * 64, BASE_CHECKSUM)
    with pytest.raises(ArchiveError, match="fingerprint ffffffffffff, and the log here is of 'ot"):
        here.take(exported)
    assert len(here.rows()) == 2


def test_the_chat_template_comes_along(here: Store, fresh: Store, tmp_path: Path) -> None:
    log = Log(here.database)
    log.open("model", logs.FINGERPRINT, BASE_CHECKSUM, "a" * 64)
    out = tmp_path / "out.tar"
    manifest = LogExport(here.database, here.artifacts, lambda *_: None).to(out)
    assert manifest.chat_template == "a" * 64
    fresh.take(out)
    assert fresh.rows() == here.rows()
    with pytest.raises(StartupError, match="with the chat template aaaaaaaaaaaa, but 'model' has"):
        Log(fresh.database).open("model", logs.FINGERPRINT, BASE_CHECKSUM, "b" * 64)
    tampered = rewritten(
        out, tmp_path / "bad.tar", replacing("rows/store.jsonl", "a" * 64, "b" * 64)
    )
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    empty.upgrade()
    with pytest.raises(ArchiveError, match="its manifest and its rows are of different models"):
        Store(empty, ArtifactStore(tmp_path / "empty")).take(tampered)
    empty.close()


def test_a_log_of_another_chat_template_is_refused(fresh: Store, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'there.db'}")
    database.upgrade()
    Log(database).open("model", logs.FINGERPRINT, BASE_CHECKSUM, "a" * 64)
    out = tmp_path / "out.tar"
    LogExport(database, ArtifactStore(tmp_path / "there"), lambda *_: None).to(out)
    database.close()
    Log(fresh.database).open("model", logs.FINGERPRINT, BASE_CHECKSUM, "")
    with pytest.raises(ArchiveError, match="with the chat template aaaaaaaaaaaa, and the log here"):
        fresh.take(out)
    assert len(fresh.rows()) == 2


def test_an_archive_from_before_templates_were_kept(
    here: Store, exported: Path, tmp_path: Path
) -> None:
    def old(members: dict[str, bytes]) -> None:
        store, manifest = (json.loads(members[name]) for name in ("rows/store.jsonl", MANIFEST))
        del store["chat_template"], manifest["chat_template"]
        members["rows/store.jsonl"] = json.dumps(store).encode() + b"\n"
        members[MANIFEST] = json.dumps(manifest).encode()

    log = Log(here.database)
    log.open("model", logs.FINGERPRINT, BASE_CHECKSUM, "a" * 64)  # a server has begun one here
    here.take(rewritten(exported, tmp_path / "old.tar", old))
    assert log.last() == BATCHES
    log.open("model", logs.FINGERPRINT, BASE_CHECKSUM, "b" * 64)
    with pytest.raises(StartupError, match="with the chat template bbbbbbbbbbbb"):
        log.open("model", logs.FINGERPRINT, BASE_CHECKSUM, "a" * 64)


# What becomes of the members of an exported log, by name.
Change = Callable[[dict[str, bytes]], None]


def rewritten(exported: Path, target: Path, change: Change, *, honest: bool = True) -> Path:
    """Another log's file; `honest`: its manifest says what is in it."""
    with tarfile.open(exported) as tar:
        members = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    change(members)
    if honest:
        manifest = json.loads(members["manifest.json"])
        manifest["members"] = {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in members.items()
            if name != "manifest.json"
        }
        members["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(target, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return target


def replacing(member: str, old: str, new: str) -> Change:
    def change(members: dict[str, bytes]) -> None:
        assert old.encode() in members[member]
        members[member] = members[member].replace(old.encode(), new.encode(), 1)

    return change


def first_artifact(members: dict[str, bytes]) -> str:
    return next(name for name in members if name.startswith("artifacts/"))


def spoil(members: dict[str, bytes]) -> None:
    name = first_artifact(members)
    members[name] = members[name][:-1] + b"\x01"


def drop(members: dict[str, bytes]) -> None:
    del members[first_artifact(members)]


def foreign(members: dict[str, bytes]) -> None:
    members[f"artifacts/{hashlib.sha256(b'x').hexdigest()}.safetensors"] = b"x"


def named(name: str) -> Change:
    return lambda members: members.update({name: b"x"})


NESTED = r"{\"a\":" * 500 + "1" + "}" * 500

HONEST = [
    (named("../evil"), "a log has no member '../evil'"),
    (named("/etc/passwd"), "a log has no member '/etc/passwd'"),
    (named("rows/api_keys.jsonl"), "a log has no member 'rows/api_keys.jsonl'"),
    (named("artifacts/" + "a" * 64 + ".safetensors"), "is not named by its sha256"),
    (lambda members: members.pop("rows/edits.jsonl"), "there is no member rows/edits.jsonl"),
    (drop, "its artifacts are not those that its rows name"),
    (foreign, "its artifacts are not those that its rows name"),
    (spoil, "is not named by its sha256"),
    (
        replacing("rows/edits.jsonl", '"priority":0', '"priority":"0"'),
        "rows/edits.jsonl, line 1: priority: Input should be a valid integer",
    ),
    (
        replacing("rows/edits.jsonl", '"priority":0', f'"priority":{10**30}'),
        "rows/edits.jsonl, line 1: priority: Input should be less than",
    ),
    (
        replacing("rows/edits.jsonl", '"a":[null]', '"a":' + "[" * 5000 + "]" * 5000),
        "line 1: the row: Invalid JSON: recursion limit exceeded",
    ),
    (
        replacing(
            "rows/edits.jsonl", '"hyperparameters":"{}"', f'"hyperparameters":"{"[" * 9999}"'
        ),
        "line 1: hyperparameters: ",
    ),
    (
        replacing(
            "rows/edits.jsonl",
            '"hyperparameters":"{}"',
            f'"hyperparameters":"{NESTED}"',
        ),
        "line 1: hyperparameters: recursion limit exceeded",
    ),
    (
        replacing(
            "rows/edits.jsonl",
            '"created_at":"2',
            '"created_at":"0001-01-01T00:00:00+14:00","updated_at":"2',
        ),
        "line 1: created_at: is of a year that no calendar has",
    ),
    (
        replacing("rows/events.jsonl", '"id":1,', f'"id":{2**63 - 1},'),
        "line 1: id: Input should be less than",
    ),
    (
        replacing("rows/edits.jsonl", '"error":null', r'"error":"\u0000"'),
        "line 1: error: must not hold NUL characters",
    ),
    (
        replacing("rows/edits.jsonl", '"error":null', '"secret":1,"error":null'),
        "line 1: secret: Extra inputs are not permitted",
    ),
    (replacing("rows/edits.jsonl", '"id":2', '"id":1'), "line 2: rows are not in order"),
    (
        replacing("rows/batches.jsonl", '"edits":1', '"edits":1,"magic":2'),
        "rows/batches.jsonl, line 1: metrics: ",
    ),
    (
        replacing("rows/versions.jsonl", '"version":2', '"version":7'),
        "rows are not in order",
    ),
    (
        replacing("rows/store.jsonl", '"model":"model"', '"model":"other"'),
        "its manifest and its rows are of different models",
    ),
    (lambda members: members.update({"rows/store.jsonl": b""}), "has 0 sound rows, and 1 in"),
    (
        replacing("rows/versions.jsonl", '"checksum":"', '"checksum":"' + "0" * 64 + '","x":"'),
        "line 1: x: Extra inputs",
    ),
    (
        replacing("rows/events.jsonl", '"edit_id":1', '"edit_id":99'),
        "FOREIGN KEY constraint failed",
    ),
    (
        replacing("rows/submissions.jsonl", '"actor":"key:1"', f'"actor":"{"k" * 65}"'),
        "rows/submissions.jsonl, line 1: actor: String should have at most 64 characters",
    ),
]


@pytest.mark.parametrize(("change", "reason"), HONEST, ids=[reason for _, reason in HONEST])
def test_what_a_hostile_hand_made(
    change: Change, reason: str, exported: Path, fresh: Store, tmp_path: Path
) -> None:
    file = rewritten(exported, tmp_path / "bad.tar", change)
    with pytest.raises((ArchiveError, IntegrityError)) as caught:
        fresh.take(file)
    assert reason in str(caught.value)
    assert fresh.rows() == []
    fresh.take(exported)  # it can be made again
    assert len(fresh.rows()) == 1 + BATCHES + (BATCHES + 1) + 2 * BATCHES + 4 * BATCHES


def test_a_state_that_is_not_what_its_row_says(
    exported: Path, fresh: Store, tmp_path: Path
) -> None:
    def change(members: dict[str, bytes]) -> None:
        rows = [json.loads(line) for line in members["rows/versions.jsonl"].splitlines()]
        rows[2]["checksum"] = "0" * 64
        members["rows/versions.jsonl"] = b"".join(json.dumps(r).encode() + b"\n" for r in rows)

    file = rewritten(exported, tmp_path / "bad.tar", change)
    with pytest.raises(ArchiveError, match=r"the state of version 2 has checksum .*\(and 1 more\)"):
        fresh.take(file)
    assert fresh.rows() == []


@pytest.mark.parametrize("member", ["rows/edits.jsonl", "rows/events.jsonl", "artifacts/"])
def test_damage_is_found(member: str, exported: Path, fresh: Store, tmp_path: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        name = next(name for name in members if name.startswith(member))
        content = members[name]
        # Sound JSON of the same length, or another byte of a tensor.
        flipped = content.replace(b"key:1", b"key:2", 1)
        if flipped == content:
            flipped = content.replace(b"worker", b"walker", 1)
        members[name] = content[:-1] + b"\x01" if flipped == content else flipped

    file = rewritten(exported, tmp_path / "bad.tar", change, honest=False)
    with pytest.raises(ArchiveError, match="is damaged: expected sha256"):
        fresh.take(file)
    assert fresh.rows() == []


def test_a_file_that_is_cut_off_anywhere(exported: Path, fresh: Store, tmp_path: Path) -> None:
    content = exported.read_bytes()
    whole = len(content.rstrip(b"\x00")) // 512 * 512
    for length in (0, 100, 512, 2_000, whole // 2, whole - 512):
        file = tmp_path / "cut.tar"
        file.write_bytes(content[:length])
        with pytest.raises(ArchiveError):
            fresh.take(file)
    assert fresh.rows() == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (tarfile.SYMTYPE, "manifest.json"),
        (tarfile.LNKTYPE, "manifest.json"),
        (tarfile.DIRTYPE, "rows"),
        (tarfile.FIFOTYPE, "manifest.json"),
        (tarfile.GNUTYPE_LONGNAME, "manifest.json"),
        (tarfile.XHDTYPE, "manifest.json"),
        (tarfile.GNUTYPE_SPARSE, "manifest.json"),
        (tarfile.CHRTYPE, "manifest.json"),
        (tarfile.BLKTYPE, "manifest.json"),
        (tarfile.CONTTYPE, "manifest.json"),
        (tarfile.GNUTYPE_LONGLINK, "manifest.json"),
        (tarfile.XGLTYPE, "manifest.json"),
        (b"\x00", "manifest.json/"),  # an old tar's folder
        (b"Z", "manifest.json"),
    ],
)
def test_only_plain_files_are_members(kind: bytes, name: str, fresh: Store, tmp_path: Path) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    file = tmp_path / "bad.tar"
    file.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(ArchiveError, match="is no plain file"):
        fresh.take(file)


@pytest.mark.parametrize(
    "name", ["rows/edits.jsonl", "../evil", "/tmp/evil", "rows/\x1b[2J", "rows/edits.jsonl\0/x"]
)
def test_no_member_comes_twice_or_unnamed(
    name: str, exported: Path, fresh: Store, tmp_path: Path
) -> None:
    """Behind all that the manifest names."""
    file = tmp_path / "bad.tar"
    file.write_bytes(exported.read_bytes())
    with tarfile.open(file, "a") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(ArchiveError, match="is unknown or twice there"):
        fresh.take(file)
    assert fresh.rows() == []


@pytest.mark.parametrize("size", [1 << 40, (1 << 62)])
def test_sizes_that_are_not_there_are_not_made_room_for(
    size: int, fresh: Store, tmp_path: Path
) -> None:
    info = tarfile.TarInfo("manifest.json")
    info.size = size
    file = tmp_path / "bad.tar"
    file.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(ArchiveError, match="is cut off"):
        fresh.take(file)
