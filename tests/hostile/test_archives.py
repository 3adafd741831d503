"""`errata log import` of what somebody made to get out of its folder, or into the terminal."""

import io
import tarfile
from pathlib import Path

import pytest

from tests.hostile.test_terminals import STEERS
from tests.processes import errata

NAMES = [
    "../evil",
    "/tmp/errata-evil",
    "rows/../../evil",
    "\x1b[2J\u202eevil",
    "evil\x00.json",
    "C:\\a",
]
KINDS = {
    "link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "device": tarfile.CHRTYPE,
    "sparse": tarfile.GNUTYPE_SPARSE,
    "plain": tarfile.REGTYPE,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
def test_nothing_of_it_is_unpacked(kind: str, form: int, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    data, file = folder / "data", folder / "log.tar"
    for name in NAMES:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = KINDS[kind], "/etc/passwd"
        info.size = 4 if kind == "plain" else 0
        with tarfile.open(file, "w", format=form) as tar:
            tar.addfile(info, io.BytesIO(b"evil"))
        done = errata("log", "import", str(file), ERRATA_DATA_DIR=str(data))
        assert (done.exit_code, done.stdout) == (1, "")
        said = done.stderr.strip("\n")
        assert said.startswith("error: ")
        assert STEERS.search(said) is None
        assert "\n" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    assert sorted(path.name for path in folder.iterdir()) == ["data", "log.tar"]
    assert not Path("/tmp/errata-evil").exists()
    assert not [path for path in data.rglob("*") if "evil" in path.name or path.is_symlink()]


def test_a_link_instead_of_an_archive(tmp_path: Path) -> None:
    """What it leads to is no archive, and no part of it is told."""
    (tmp_path / "log.tar").symlink_to("/etc/passwd")
    data = str(tmp_path / "data")
    done = errata("log", "import", str(tmp_path / "log.tar"), ERRATA_DATA_DIR=data)
    assert done.exit_code == 1
    assert "root" not in done.stderr
