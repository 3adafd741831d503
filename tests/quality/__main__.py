"""Makes figures on real models: `make quality`, or `make quality QUALITY=answers` for one part.

Prints Markdown tables and writes them to `build/quality.md`. The models are those of `make models`.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.bench.machine import described
from tests.quality import answers, capitals, chats, spaces
from tests.quality.models import MODELS, RealModel, missing
from tests.quality.table import Table

PARTS: dict[str, Callable[[Sequence[RealModel], Progress], list[Table]]] = {
    "answers": answers.run,
    "spaces": spaces.run,
    "capitals": capitals.run,
    "chats": chats.run,
}
OUT = Path("build") / "quality.md"


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else "all"
    if wanted not in ("all", *PARTS):
        sys.exit(f"no part '{wanted}'; there are: all, {', '.join(PARTS)}")
    absent = [missing(model) for model in MODELS if not model.is_there]
    if absent:
        sys.exit("error: " + "\nerror: ".join(absent))
    tables: list[Table] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for name, part in PARTS.items():
            if wanted in ("all", name):
                tables += part(MODELS, progress)
    text = "\n\n".join([described(), *(table.markdown() for table in tables)])
    print(text)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(f"{text}\n")


main()
