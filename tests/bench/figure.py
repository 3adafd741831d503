"""One line of the benchmark's table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    part: str
    name: str
    measured: float
    unit: str  # "" for a share
    baseline: float | None = None  # the same unit, measured in the same run
    wanted: float | None = None  # the least ratio to the baseline or, without one, the least value

    @property
    def ratio(self) -> float | None:
        return None if self.baseline is None else self.measured / self.baseline

    @property
    def reached(self) -> bool:
        value = self.measured if self.ratio is None else self.ratio
        return self.wanted is None or value >= self.wanted

    def cells(self) -> tuple[str, ...]:
        if not self.unit:
            wanted = "" if self.wanted is None else f">= {self.wanted:.1%}"
            return self.part, self.name, f"{self.measured:.2%}", "", "", wanted
        return (
            self.part,
            self.name,
            f"{self.measured:.1f} {self.unit}",
            "" if self.baseline is None else f"{self.baseline:.2f} {self.unit}",
            "" if self.ratio is None else f"{self.ratio:.1f}",
            "" if self.wanted is None else f">= {self.wanted:g}",
        )
