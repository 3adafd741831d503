"""The server that is asked: the bundled model, with a chat template, so that chats are answered."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from service.atlas import MODEL_DIR
from tests.processes import Child, serving
from tests.templates import CHATML

KEY = "a-key-for-the-fuzz"
MODEL_NAME = "FUZZED_MODEL"  # the variable that tells the hooks
NEW_TOKENS = 8  # of one text, at most


@contextlib.contextmanager
def asked(folder: Path) -> Iterator[tuple[Child, str]]:
    """The server, and its model's name."""
    model = folder / "atlas"
    shutil.copytree(MODEL_DIR, model)
    settings = model / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "chat_template": CHATML}))
    with serving(
        folder / "data",
        ERRATA_ADMIN_KEY=KEY,
        ERRATA_MODEL=str(model),
        ERRATA_MAX_NEW_TOKENS=str(NEW_TOKENS),
        ERRATA_MAX_GENERATIONS="4096",
    ) as child:
        yield child, str(model)
