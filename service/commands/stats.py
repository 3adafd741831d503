"""`errata stats`: the statistics that hook-layer editors go by."""

from typing import Annotated, Any

import typer

from service.commands.local import or_fail
from service.commands.output import JsonOption, print_json, print_table
from service.commands.progress import progress_bar
from service.settings import EditorName, load_settings


def stats(
    editor: Annotated[
        EditorName,
        typer.Option(metavar="NAME", help="For the layers that this editor changes."),
    ] = "coachhook",
    layers: Annotated[
        str | None, typer.Option(metavar="N,N", help="For these layers instead.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the statistics of a model's layers, unless they are there, and show them.

    They lie in the data directory, where a server finds them. An interrupted run is gone on with.
    """
    with or_fail():
        settings = load_settings()
        # torch and transformers take seconds to import.
        from service.app import build_editors, load
        from service.editing.hyperparameters import known_layers
        from service.engine.engine import Engine

        loaded = load(settings)
        editors, statistics = build_editors(settings, Engine(loaded))
        own = editors.layers(editor)
        numbers = own if layers is None else _numbers(layers)
        known_layers(loaded.model, numbers)
        statistics.check(numbers)
        with progress_bar("reading") as advance:
            found = statistics.of(numbers, advance)
    rows: list[dict[str, Any]] = [
        {
            "layer": number,
            "source": one.source,
            "vectors": one.vectors,
            "inputs": len(one.second_moment),
            "mean_square": float(one.second_moment.diagonal().mean()),
            "never_active": int((one.second_moment.diagonal() == 0).sum()),
            "sha256": one.digest,
        }
        for number, one in found.items()
    ]
    if as_json:
        print_json(rows)
    else:
        headers = ["layer", "source", "keys", "inputs", "mean square", "never active", "sha256"]
        shown = [
            (
                *list(row.values())[:4],
                f"{row['mean_square']:.4g}",
                row["never_active"],
                row["sha256"][:12],
            )
            for row in rows
        ]
        print_table(headers, shown)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(number) for number in text.split(",")}))
    except ValueError:
        raise typer.BadParameter("layers are numbers with commas between them") from None
