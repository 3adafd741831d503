"""The bundled model, loaded before servers are forked."""

import torch

from service import app
from tests.models import atlas

# Threads would not survive the fork.
torch.set_num_threads(1)
atlas()


def use_it() -> None:
    app.load = lambda settings: atlas()  # noqa: ARG005  # as it is called
