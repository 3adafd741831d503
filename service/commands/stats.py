"""`errata stats`: what editors measure of a model before they edit it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.local import or_fail
from service.commands.output import JsonOption, print_json, print_table
from service.commands.progress import progress_bar
from service.settings import EditorName, load_settings

if TYPE_CHECKING:
    # torch and transformers take seconds to import.
    from service.editing.deferral_radii import DeferralRadii
    from service.editing.entity.relation_space import RelationSpace
    from service.editing.key_statistics import KeyStatistics


def stats(
    editor: Annotated[
        EditorName,
        typer.Option(metavar="NAME", help="Those that this editor goes by."),
    ] = "coachhook",
    layers: Annotated[
        str | None, typer.Option(metavar="N,N", help="Those of these layers instead.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the statistics of a model's layers, unless they are there, and show them; for `entity`,
    its relation space; for `grace`, how far its keys reach.

    They lie in the data directory, where a server finds them. An interrupted run is gone on with.
    """
    with or_fail():
        settings = load_settings()
        from service.app import build_editors, load
        from service.editing.hyperparameters import known_layers
        from service.engine.engine import Engine

        loaded = load(settings)
        editors, statistics = build_editors(settings, Engine(loaded))
        numbers = editors.layers(editor) if layers is None else _numbers(layers)
        known_layers(loaded.model, numbers)
        statistics.check(numbers)
        with progress_bar("reading") as advance:
            own = layers is None
            space = editors.space(editor, advance) if own else None
            radii = editors.radii(editor, advance) if own else None
            found = statistics.of(numbers, advance) if space is None and radii is None else {}
    if space is not None:
        _show_space(space, as_json=as_json)
    elif radii is not None:
        _show_radii(radii, as_json=as_json)
    else:
        _show_layers(found, as_json=as_json)


def _show_layers(found: "Mapping[int, KeyStatistics]", *, as_json: bool) -> None:
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
        return
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


def _show_space(space: "RelationSpace", *, as_json: bool) -> None:
    if as_json:
        print_json([{**space.numbers(), "dimensions": space.width, "sha256": space.digest}])
        return
    headers = ["layer", "sentence layer", "radius", "of the model's own", "numbers", "sha256"]
    row = (
        space.layer,
        space.sentence_layer,
        f"{space.asked_radius:.3f}",
        f"{space.decoded_radius:.3f}",
        space.width,
        space.digest[:12],
    )
    print_table(headers, [row])


def _show_radii(radii: "DeferralRadii", *, as_json: bool) -> None:
    known = {form: radius for form, radius in radii.numbers().items() if radius is not None}
    if as_json:
        print_json([known])
    else:
        headers = [f"radius, {form}" for form in known]
        print_table(headers, [tuple(f"{radius:.4g}" for radius in known.values())])


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(number) for number in text.split(",")}))
    except ValueError:
        raise typer.BadParameter("layers are numbers with commas between them") from None
