"""A log whose versions hold overlays that no batch made."""

from collections.abc import Sequence
from pathlib import Path

from service.domain.effects import Effect
from service.domain.versions import VersionKind
from service.editing.changes import Change, encode
from service.editing.codebook import Codebook
from service.editing.codebook_change import CodebookChange
from service.editing.hook_layer import HookLayers
from service.editing.hooks_change import HooksChange
from service.editing.overlays import BASE_CHECKSUM, Overlay, checksum_of
from service.engine.loading import LoadedModel
from service.settings import Settings
from service.storage.artifacts import ArtifactStore
from service.storage.database import open_database
from service.storage.log import Log


def write(folder: Path, loaded: LoadedModel, overlays: Sequence[Overlay]) -> None:
    """Into a data directory: versions 1, 2, ... each made over the base model."""
    settings = Settings(data_dir=folder)
    database = open_database(settings.resolved_database_url)
    log, artifacts = Log(database), ArtifactStore(folder / "artifacts")
    log.open(loaded.name, loaded.fingerprint, BASE_CHECKSUM)
    for last, overlay in enumerate(overlays):
        log.commit_change(
            VersionKind.RESTORE,
            effect=Effect(),
            edit_ids=[],
            built_on=last,
            parent=0,
            artifact=artifacts.put(encode(_change(overlay))),
            checksum=checksum_of(overlay),
            actor="bench",
            reason="bench",
        )
    database.close()


def _change(overlay: Overlay) -> Change:
    if isinstance(overlay, Codebook):
        assert overlay.site is not None
        return CodebookChange(overlay.site, (), overlay.rows(range(len(overlay))))
    assert isinstance(overlay, HookLayers)
    return HooksChange(overlay.gate, overlay.layers, ())
