"""A table in Markdown, as a part of the figures prints it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        lines = [self.headers, ("---",) * len(self.headers), *self.rows]
        return "\n".join([f"### {self.title}", "", *map(_line, lines)])


def _line(cells: tuple[str, ...]) -> str:
    kept = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(kept)} |"
