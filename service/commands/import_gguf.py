"""`errata import-gguf`: a model in a GGUF file as a folder that a server takes."""

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from service.commands.local import or_fail
from service.commands.output import out
from service.commands.progress import progress_bar
from service.commands.serve import ended_by_sigterm

# No library asks a hub for anything, nor draws a bar of its own. Read when they are imported.
QUIET = {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
TERMINATED = 128 + signal.SIGTERM  # an exit code, as shells have it


def import_gguf(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A GGUF file.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
) -> None:
    """Write the model in a GGUF file as a Hugging Face folder, which ERRATA_MODEL takes.

    Its weights become float32, whatever they were quantised to. Of the architectures gemma2,
    gemma3 (text), gpt2, llama, phi3, qwen2 and qwen3.
    """
    os.environ.update(QUIET)
    with ended_by_sigterm(TERMINATED), or_fail(), progress_bar("loading") as advance:
        # torch and transformers take seconds to import.
        from service.engine.placement import need

        for package in ("gguf", "accelerate"):
            need(package, "errata import-gguf", "gguf")
        from service.operations.gguf_import import import_gguf

        made = import_gguf(file, folder, advance)
    chat = "a chat template" if made.chats else "no chat template"
    out.print(
        f"{folder} holds a model of type '{made.model_type}': {made.numbers:,} numbers, {chat}",
        soft_wrap=True,
    )
