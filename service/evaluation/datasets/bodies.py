"""A record as POST /edits takes it."""

from typing import Any

from service.domain.bounds import MAX_NEIGHBORHOOD, MAX_PARAPHRASES, check_metadata
from service.evaluation.datasets.record import Record


def body_of(record: Record) -> tuple[dict[str, Any], list[str]]:
    """The body, and the names of what does not fit into it: into the metadata, whose bounds the
    server sets, or past the paraphrases and neighbours that it takes.
    """
    metadata, left_out = _fitting(record.options.get("metadata", {}), _kept(record))
    lists = {
        "paraphrases": (list(record.paraphrases), MAX_PARAPHRASES),
        "neighborhood": ([one.prompt for one in record.neighborhood], MAX_NEIGHBORHOOD),
    }
    left_out += [f"{name} past {most}" for name, (all_, most) in lists.items() if len(all_) > most]
    body = {
        "prompt": record.prompt,
        "target_new": record.target_new,
        "subject": record.subject,
        "target_true": next(iter(record.target_true), None),
        **{name: texts[:most] for name, (texts, most) in lists.items()},
        "metadata": metadata,
    }
    given = {name: value for name, value in body.items() if value}
    return {**record.options, **given}, left_out


def _kept(record: Record) -> dict[str, Any]:
    """An edit has one true target: where a set has several, all are kept."""
    several = {"target_true": list(record.target_true)} if len(record.target_true) > 1 else {}
    return {**record.beyond, **several}


def _fitting(metadata: dict[str, Any], more: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """`metadata` with as much of `more` as fits, the smallest first."""
    kept = dict(metadata)
    left_out = []
    for name, value in sorted(more.items(), key=lambda item: len(repr(item[1]))):
        try:
            check_metadata({**kept, name: value})
        except ValueError:
            left_out.append(name)
        else:
            kept[name] = value
    return kept, left_out
