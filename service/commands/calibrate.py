"""`errata calibrate`: finds the hyperparameters that serve a model best."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.atlas import EDITS_FILE
from service.commands.edit_sets import FORMS, SkipBadOption, edit_set, subject_for
from service.commands.local import or_fail
from service.commands.output import Exit, fail, out, print_table
from service.commands.progress import progress_bar
from service.settings import EditorName, load_settings

if TYPE_CHECKING:  # torch takes seconds to import
    from service.evaluation.calibration import Trial

COLUMNS = ("values", "S", "ES", "PS", "NS", "seconds")
SHOWN = 10  # of the best


def calibrate(
    preset: Annotated[
        Path,
        typer.Argument(help="Where to write the preset; trials lie beside it.", dir_okay=False),
    ],
    editor_name: Annotated[
        EditorName | None,
        typer.Option("--editor", metavar="NAME", help="Default: ERRATA_EDITOR."),
    ] = None,
    dataset: Annotated[Path, typer.Option(help=FORMS, dir_okay=False)] = EDITS_FILE,
    limit: Annotated[int, typer.Option(min=1, help="How many facts that the model knows.")] = 60,
    batch: Annotated[int, typer.Option(min=1, help="Edits applied together.")] = 20,
    given: Annotated[
        int, typer.Option("--paraphrases", min=0, help="How many each edit brings.")
    ] = 0,
    tried: Annotated[
        list[str] | None,
        typer.Option(
            "--try", metavar="NAME=[VALUE,...]", help="Values to try, as JSON; may be repeated."
        ),
    ] = None,
    skip_bad: SkipBadOption = False,
) -> None:
    """Try a grid of hyperparameters on counterfactual edits of facts that the model knows.

    The model and its settings are those that `errata serve --help` lists. The best are written as a
    preset, which a server takes by ERRATA_PRESET.

    The best have the highest S, the harmonic mean of ES, PS and NS. Trials that an earlier run made
    are not made again.
    """
    options = _options(tried or [])
    with or_fail():
        settings = load_settings(**({"editor": editor_name} if editor_name else {}))
        editor = settings.editor
        records = edit_set(
            dataset, skip_bad=skip_bad, subject=subject_for(editor), beyond="not measured"
        ).records
        # torch and transformers take seconds to import.
        from service.app import build_editors, load
        from service.editing.hyperparameters import default_grid
        from service.editing.preset_files import Preset, base_name, read_preset, write_preset
        from service.engine.engine import Engine
        from service.evaluation.asking import known
        from service.evaluation.calibration import grid, run, trial, trial_from

        known_preset = read_preset(preset) if preset.exists() else Preset()
        loaded = load(settings)
        engine = Engine(loaded)
        editors, _ = build_editors(settings, engine)
        points = grid({**default_grid(loaded.model, editor), **options})
        facts = known(engine, records, limit)
        if not facts:
            fail(f"the model knows none of the facts of {dataset}", Exit.REFUSED)
        setting = {"editor": editor, "model": loaded.fingerprint, "facts": len(facts)}
        setting |= {"dataset": dataset.name, "batch": batch, "paraphrases": given}
        file = preset.with_suffix(".trials.json")
        before = _read(file, setting)
        done = []
        with progress_bar(editor) as advance:
            advance(editor, 0, len(points))
            for one in run(
                points,
                [trial_from(found) for found in before],
                lambda point: trial(
                    engine, editors.editor(editor, point), point, facts, batch, given
                ),
            ):
                done.append(one)
                content = {**setting, "trials": [asdict(found) for found in done]}
                file.write_text(json.dumps(content, indent=2) + "\n")
                advance(editor, len(done), len(points))
        done.sort(key=lambda one: one.score, reverse=True)
        source = (
            f"errata calibrate, {datetime.now(UTC):%Y-%m-%d}: S {done[0].score:.3f} on "
            f"{len(facts)} facts of {dataset.name} in batches of {batch}"
        )
        chosen = {**known_preset.of(editor), **done[0].hyperparameters}
        write_preset(
            preset,
            Preset(
                models=known_preset.models or [base_name(loaded.name)],
                sources={**known_preset.sources, editor: source},
                editors={**known_preset.editors, editor: chosen},
            ),
        )
    print_table(COLUMNS, [_cells(one) for one in done[:SHOWN]])
    out.print(f"{preset} holds the best of {len(done)}", soft_wrap=True)


def _cells(one: "Trial") -> tuple[str | None, ...]:
    shares = (one.figures.efficacy, one.figures.paraphrase, one.figures.neighborhood)
    return (
        json.dumps(one.hyperparameters),
        f"{one.score:.3f}",
        *(None if share is None else f"{share:.1%}" for share in shares),
        f"{one.seconds:.1f}",
    )


def _options(tried: list[str]) -> dict[str, list[Any]]:
    options = {}
    for one in tried:
        name, _, values = one.partition("=")
        try:
            found = json.loads(values)
        except ValueError:
            found = None
        if not isinstance(found, list) or not found:
            raise typer.BadParameter(f"--try {one}: is no NAME=[VALUE,...] in JSON")
        options[name] = found
    return options


def _read(file: Path, setting: dict[str, Any]) -> list[Any]:
    """The trials of an earlier run with the same setting."""
    if not file.exists():
        return []
    try:
        found = json.loads(file.read_text())
        trials: list[Any] = found.pop("trials")
    except (OSError, ValueError, KeyError) as error:
        fail(f"{file} can't be read: {error}", Exit.REFUSED)
    if found != setting:
        fail(f"{file} is of another calibration: remove it or name another file", Exit.REFUSED)
    return trials
