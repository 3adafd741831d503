"""`errata generate` and `errata compare`: ask the model."""

from typing import Annotated, Any

import typer
from rich.text import Text

from service.commands.client import client
from service.commands.output import JsonOption, out, print_json, print_table, visible

Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="The text to continue.")]
MaxNewTokens = Annotated[
    int, typer.Option(min=1, metavar="TOKENS", help="How much to generate at most.")
]


def generate(
    prompt: Prompt,
    version: Annotated[
        int | None,
        typer.Option(min=0, metavar="VERSION", help="Which version answers; default: the current."),
    ] = None,
    max_new_tokens: MaxNewTokens = 32,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show which edits fired, where, and how near.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Let the model continue a prompt."""
    body = {
        "prompt": prompt,
        "version": version,
        "max_new_tokens": max_new_tokens,
        "explain": explain,
    }
    with client() as server:
        answer = server.post("/generate", body)
        if as_json:
            print_json(answer)
            return
        text = Text.assemble(
            visible(prompt),
            (visible(answer["text"]), "bold"),
            (f"  (version {answer['version']})", "dim"),
        )
        out.print(text, soft_wrap=True)
        if explain:
            headers = ["token", "text", "layer", "edits", "fired", "measured", "limit"]
            print_table(headers, map(_cells, answer["explain"]))


def _cells(firing: dict[str, Any]) -> tuple[object, ...]:
    """A row on one firing: how near a codebook's entry was, or how high a gate's score."""
    distance, score = firing.get("distance"), firing.get("z_score")
    measured = limit = None
    if distance is not None:
        measured, limit = f"distance {distance:.2f}", f"radius {firing['radius']:.2f}"
    elif score is not None:
        measured, limit = f"z-score {score:.2f}", f"alpha {firing['alpha']:.2f}"
    edits = ", ".join(map(str, firing["edits"]))
    fired = "yes" if firing["fired"] else "no"
    return firing["token"], firing["text"], firing["layer"], edits, fired, measured, limit


def compare(
    prompt: Prompt,
    left: Annotated[int, typer.Option(min=0, metavar="VERSION", help="One version.")] = 0,
    right: Annotated[
        int | None,
        typer.Option(min=0, metavar="VERSION", help="The other; default: the current."),
    ] = None,
    max_new_tokens: MaxNewTokens = 32,
    as_json: JsonOption = False,
) -> None:
    """Let two versions of the model continue a prompt."""
    body = {"prompt": prompt, "left": left, "right": right, "max_new_tokens": max_new_tokens}
    with client() as server:
        answer = server.post("/compare", body)
        if as_json:
            print_json(answer)
            return
        sides = (answer["left"], answer["right"])
        print_table(["version", "answer"], [(side["version"], side["text"]) for side in sides])
        out.print("the same" if answer["same"] else "different")
