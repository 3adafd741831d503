"""`errata generate` and `errata compare`: ask the model."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from service.commands.client import JsonOption, client, out, print_json

Prompt = Annotated[str, typer.Argument(help="The text to continue.")]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="How much to generate at most.")]


def generate(
    prompt: Prompt,
    version: Annotated[
        int | None, typer.Option(min=0, help="Which version answers; default: the current.")
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
    else:
        text = f"{escape(prompt)}[bold]{escape(answer['text'])}[/bold]"
        out.print(f"{text}  [dim](version {answer['version']})[/dim]", highlight=False)


def compare(
    prompt: Prompt,
    left: Annotated[int, typer.Option(min=0, help="One version.")] = 0,
    right: Annotated[
        int | None, typer.Option(min=0, help="The other; default: the current.")
    ] = None,
    max_new_tokens: MaxNewTokens = 32,
    as_json: JsonOption = False,
) -> None:
    """Let two versions of the model continue the same prompt."""
    body = {"prompt": prompt, "left": left, "right": right, "max_new_tokens": max_new_tokens}
    with client() as server:
        answer = server.post("/compare", body)
    if as_json:
        print_json(answer)
        return
    table = Table("version", "answer")
    for side in ("left", "right"):
        table.add_row(str(answer[side]["version"]), escape(answer[side]["text"]))
    out.print(table)
    out.print("the same" if answer["same"] else "different")
