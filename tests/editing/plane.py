"""Codebooks whose keys lie in the plane."""

import torch

from service.editing.codebook import Codebook, Label, Replacement, Site, Target

SITE = Site(3, "mlp", Replacement.LAST)


def target(edit_id: int, key: tuple[float, float], label: Label = (7,)) -> Target:
    value = torch.tensor([[float(edit_id), 0.0, 0.0]])
    return Target(edit_id, torch.tensor([key], dtype=torch.float32), value, (label,), (0,))


def answers(codebook: Codebook, *queries: tuple[float, float]) -> list[int | None]:
    """The edit that answers each query."""
    match = codebook.look_up(torch.tensor(queries))
    owners = [codebook.owners[entry] for entry in match.entry.tolist()]
    return [o if fires else None for o, fires in zip(owners, match.fires.tolist(), strict=True)]
