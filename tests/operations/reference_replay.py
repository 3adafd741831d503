"""A log that never held some edits, made from the stored targets of one that did."""

from collections.abc import Collection

from service.app import build_editors
from service.editing.changes import decode
from service.editing.overlays import Overlay, checksum_of
from service.storage.artifacts import ArtifactStore
from service.storage.database import Database
from service.storage.log import Log
from tests.conftest import Server


def replayed(server: Server, batches: Collection[int], without: Collection[int]) -> str:
    """The checksum of the state in which these batches, one after another, never had the edits
    `without`.
    """
    return checksum_of(state_of(server, batches, without))


def state_of(server: Server, batches: Collection[int], without: Collection[int]) -> Overlay | None:
    """That state."""
    settings = server.services.settings
    editors, _ = build_editors(settings, server.services.engine)
    database = Database(settings.resolved_database_url)
    artifacts = ArtifactStore(settings.data_dir / "artifacts")
    state: Overlay | None = None
    for number in batches:
        batch = Log(database).batch(number)
        targets = decode(artifacts.get(batch.artifact), server.services.engine.loaded.shape).targets
        kept = [target for target in targets if target.edit_id not in without]
        with server.services.engine.editing():
            state = editors.recorded(batch).insert(state, kept)
    database.close()
    return state
