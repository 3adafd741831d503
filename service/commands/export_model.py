"""`errata export-model`: the edited model as a folder that anything else can load."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.local import opened, or_fail
from service.commands.output import Exit, fail, out
from service.errors import NotFoundError
from service.settings import load_settings


def export_model(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", file_okay=False, help="A new or empty folder.")
    ],
    version: Annotated[
        int | None,
        typer.Option(
            "--version", min=0, metavar="VERSION", help="Of this version; default: the last."
        ),
    ] = None,
) -> None:
    """Write the model with its edits in its weights, as a Hugging Face folder.

    For logs of memit, emmet, rome, r-rome, and of coachhook without a gate. What a codebook or a
    gate decides token by token no weight can hold, nor can a quantised one a sum.
    """
    with or_fail():
        settings = load_settings()
    if settings.quantization is not None:
        fail(
            f"ERRATA_QUANTIZATION is '{settings.quantization}', and changes can't be added to "
            "quantised weights",
            Exit.REFUSED,
        )
    with opened(settings) as database, or_fail():
        # torch and transformers take seconds to import.
        from service.app import load
        from service.editing.overlays import BASE_CHECKSUM
        from service.engine.engine import Engine
        from service.operations.model_export import check_target, export_model
        from service.operations.overlays import Overlays
        from service.storage.artifacts import ArtifactStore
        from service.storage.log import Log

        check_target(folder)
        loaded = load(settings)
        log = Log(database)
        log.open(loaded.name, loaded.fingerprint, BASE_CHECKSUM, loaded.chat_template)
        number = log.last() if version is None else version
        artifacts = ArtifactStore(settings.artifacts)
        try:
            state = Overlays(log, artifacts, Engine(loaded)).at(number).state
        except NotFoundError as error:
            fail(str(error), Exit.REFUSED)
        export_model(loaded, state, number, folder)
    out.print(f"version {number} of '{loaded.name}' is in {folder}", soft_wrap=True)
