"""`errata generate` and `errata compare`: ask the model."""

from typing import Annotated

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
    as_json: JsonOption = False,
) -> None:
    """Let the model continue a prompt."""
    body = {"prompt": prompt, "version": version, "max_new_tokens": max_new_tokens}
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
