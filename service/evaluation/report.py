"""A report as a Markdown table."""

from service.evaluation.run import Report


def markdown(report: Report) -> str:
    found, scope = report.figures, report.scope
    rows = [
        ("edits applied", f"{report.applied} of {report.edits}"),
        ("ES", _percent(found.efficacy)),
        ("PS", _percent(found.paraphrase)),
        ("NS", _percent(found.neighborhood)),
        ("efficacy, exact", _percent(found.efficacy_exact)),
        ("paraphrase, exact", _percent(found.paraphrase_exact)),
        ("neighbourhood, exact", _percent(found.neighborhood_exact)),
        *(
            (f"ERR, ES after {point.edits} edits", f"{point.err:.1%}, {_percent(point.efficacy)}")
            for point in report.retention
        ),
        ("TRR", _percent(report.trr)),
        ("answers, prompts", _percent(scope.prompt)),
        ("answers, paraphrases", _percent(scope.paraphrase)),
        ("answers, behind context", _percent(scope.context)),
        ("answers, in chats", _percent(scope.chat)),
        ("unchanged, neighbourhood", _percent(scope.neighborhood)),
        ("unchanged, other subjects", _percent(scope.other_subject)),
        ("unchanged, other templates", _percent(scope.other_template)),
        ("unchanged, unrelated text", _percent(scope.unrelated)),
        ("H", _percent(report.h)),
        ("edits per second", _number(report.edits_per_second)),
        ("peak memory (MiB)", _number(report.peak_memory_mib)),
    ]
    head = f"| {report.editor} on {report.model} | |\n| --- | --- |\n"
    return head + "\n".join(f"| {name} | {value} |" for name, value in rows)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
