"""Random overlays of every kind for tiny random models, at work on about half of all tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor

from service.domain.subject_index import normal
from service.editing.architectures import architecture_of, down_projection_of, weight_of
from service.editing.codebook import Codebook, Replacement, Rows, Site
from service.editing.entity.asking import Asking, Junction
from service.editing.entity.book import EntityBook
from service.editing.entity.insertion import Target, insert
from service.editing.entity.relation_space import Projection, RelationSpace
from service.editing.entity.states import Asked, features_of
from service.editing.gates import Gate
from service.editing.hook_layer import HookLayer, HookLayers, Update
from service.editing.logits import logits_of
from service.editing.overlays import Overlay
from service.editing.splitting import Splitting
from service.editing.taps import after
from service.engine.loading import LoadedModel
from service.engine.overlay import module_at
from service.engine.shelves import Shelves
from tests.models import atlas
from tests.tiny import VOCABULARY, WIDTH, tiny

EDITED = (1, 2)  # layers of hook layers
SITE = 2  # layer of codebooks


def loaded(model_type: str) -> LoadedModel:
    """A tiny model behind the atlas's tokenizer, whose first tokens it has."""
    return LoadedModel(model_type, "", tiny(model_type), atlas().tokenizer, 64)


def tokens(length: int, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(1, VOCABULARY, (length,), generator=generator).tolist())


def seen_at(loaded: LoadedModel, module: torch.nn.Module, text: Sequence[int]) -> Tensor:
    """What a module is given at the tokens of a text [t, d]."""
    seen: list[Tensor] = []
    with torch.no_grad(), after({module: lambda args, _: seen.append(args[0])}):
        loaded.model(input_ids=torch.tensor([text]))
    return seen[0].reshape(-1, seen[0].shape[-1])


def hooks(loaded: LoadedModel, gate: Gate, text: Sequence[int], seed: int = 1) -> HookLayers:
    """Each layer changes its projection by as much as there is."""
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for number in EDITED:
        projection = down_projection_of(loaded.model, number)
        weight = weight_of(projection)
        left = torch.randn(WIDTH, 3, generator=generator)
        right = torch.randn(weight.shape[1], 3, generator=generator)
        left *= weight.norm() / (left @ right.T).norm()
        layer = HookLayer((Update(left, right, right, right),))
        norms = (seen_at(loaded, projection, text) @ layer.delta.T).norm(dim=1)
        layers[number] = layer.behind(0.3, float(norms.mean()), float(norms.std()))
    return HookLayers(gate, layers)


def codebook(loaded: LoadedModel, replacement: Replacement, text: Sequence[int]) -> Codebook:
    """Keys are what the model sees at some tokens of the text; their radii reach half of it."""
    site = Site(SITE, architecture_of(loaded.model).codebook_module, replacement)
    keys = seen_at(loaded, module_at(loaded.model, site), text)
    radius = torch.cdist(keys, keys).median(dim=1).values * 0.9
    some = torch.arange(0, len(keys), 4)
    values = torch.randn(len(some), WIDTH, generator=torch.Generator().manual_seed(2))
    owners = tuple(range(len(some)))
    rows = Rows(owners, keys[some], values, radius[some], tuple((i,) for i in owners), owners)
    shelves = Shelves(loaded.model.dtype, loaded.device)
    return shelves.place(Codebook.empty().with_rows(site, rows))


def entity(loaded: LoadedModel, texts: Sequence[tuple[int, ...]]) -> EntityBook:
    """It answers each text, asked as it stands, with three tokens, which may ask again."""
    generator = torch.Generator().manual_seed(3)
    asking = Asking(loaded.tokenizer)
    matrix, center = torch.randn(2 * WIDTH, 8, generator=generator), torch.zeros(8)
    space = RelationSpace(
        2, 1, Projection(matrix, center), Projection(matrix[:WIDTH], center), 0.6, 0.9
    )
    values = 8 * torch.randn(3 * len(texts), WIDTH, generator=generator)
    with torch.no_grad():
        said = logits_of(loaded.model, values).argmax(dim=1).tolist()
    asked = [Asked.of(asking, text) for text in texts]
    keys = space.keys(*features_of(loaded.model, 2, 1, asked, Splitting()))
    targets = [
        Target(
            edit_id=number + 1,
            space=space,
            subjects=(normal(asking.text(text[one.sentence : one.place + 1])),),
            keys=keys[number : number + 1],
            radii=(2.0,),
            answer_of=(0,),
            junctions=(Junction.BARE, Junction.SPACED),
            labels=(tuple(said[3 * number : 3 * number + 3]),) * 2,
            values=torch.cat([values[3 * number : 3 * number + 3]] * 2),
        )
        for number, (text, one) in enumerate(zip(texts, asked, strict=True))
    ]
    return insert(EntityBook.empty(), targets, 0.0).read_by(asking)


def every_overlay(loaded: LoadedModel) -> dict[str, Overlay | None]:
    """By name: the base model's, each kind of codebook, an entity book, and hook layers behind each
    gate.
    """
    text = tokens(24, 99)
    found: dict[str, Overlay | None] = {"base": None}
    found |= {kind.value: codebook(loaded, kind, text) for kind in Replacement}
    asked = [tokens(length, length) for length in (2, 3, 7, 12, 20)]
    found["entity"] = entity(loaded, [*asked, *(text[:length] for length in (5, 9, 13))])
    return found | {gate.value: hooks(loaded, gate, text) for gate in Gate}
