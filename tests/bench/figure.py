"""One line of the benchmark's table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    part: str
    name: str
    measured: float
    unit: str  # "" for a share
    baseline: float | None = None  # the same unit, measured in the same run
    # Bounds of the ratio to the baseline or, without one, of the value itself.
    wanted: float | None = None  # the least
    most: float | None = None

    @property
    def ratio(self) -> float | None:
        return None if self.baseline is None else self.measured / self.baseline

    @property
    def reached(self) -> bool:
        value = self.measured if self.ratio is None else self.ratio
        enough = self.wanted is None or value >= self.wanted
        return enough and (self.most is None or value <= self.most)

    def cells(self) -> tuple[str, ...]:
        bounds = ((">=", self.wanted), ("<=", self.most))
        form = ".4g" if self.unit else ".1%"
        wanted = ", ".join(f"{sign} {bound:{form}}" for sign, bound in bounds if bound is not None)
        if not self.unit:
            return self.part, self.name, f"{self.measured:.2%}", "", "", wanted
        return (
            self.part,
            self.name,
            f"{self.measured:.2f} {self.unit}",
            "" if self.baseline is None else f"{self.baseline:.2f} {self.unit}",
            "" if self.ratio is None else f"{self.ratio:.3g}",
            wanted,
        )
