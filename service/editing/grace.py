"""GRACE: each edit learns the vector that its layer must return, then enters the codebook.

Hartvigsen et al. 2023, section 3. The values of a whole batch are optimised together: they are
independent of each other, since a key's query depends on nothing that a codebook changes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.editing.adam import Adam
from service.editing.architectures import architecture_of, layers_of
from service.editing.codebook import Codebook, Replacement, Rows, Site, Target
from service.editing.requests import EditRequest
from service.editing.suffix import SuffixRun, Text, capture
from service.errors import EditingError

# A layer about three quarters up, as the paper chose for GPT2-XL (35 of 48).
LAYER_DEPTH = 0.73


@dataclass(frozen=True)
class GraceHyperparameters:
    layer: int
    module: str  # path within the layer
    replacement: Replacement = Replacement.LAST
    radius: float = 1.0  # initial deferral radius (epsilon), in the units of the module's input
    steps: int = 100
    learning_rate: float = 1.0
    stop_loss: float = 0.05  # mean nats per target token under which an edit is done; 0: never

    @classmethod
    def default(cls, model: PreTrainedModel) -> "GraceHyperparameters":
        """The rule for a model that nobody has tuned for."""
        layer = min(int(LAYER_DEPTH * len(layers_of(model))), len(layers_of(model)) - 1)
        return cls(layer=layer, module=architecture_of(model).codebook_module)


class Grace:
    """The editor `grace`."""

    name = "grace"

    def __init__(self, model: PreTrainedModel, hyperparameters: GraceHyperparameters) -> None:
        self._model = model
        self._layer = layers_of(model)[hyperparameters.layer]
        self._module = self._layer.get_submodule(hyperparameters.module)
        self.hyperparameters = hyperparameters
        self.site = Site(hyperparameters.layer, hyperparameters.module, hyperparameters.replacement)

    def recorded(self) -> dict[str, float | int | str | bool | None]:
        """The hyperparameters as they are written to the log."""
        return asdict(self.hyperparameters)

    def insert(self, codebook: Codebook, targets: Sequence[Target]) -> tuple[Codebook, Rows]:
        """The closed-form part: no gradient step. Returns the new codebook and its changed rows."""
        return codebook.insert(self.site, targets, self.hyperparameters.radius)

    def targets(
        self, codebook: Codebook, requests: Sequence[EditRequest]
    ) -> tuple[list[Target], list[EditingError]]:
        """Optimises the value of every request; `codebook` gives the starting points of those that
        widen an entry. Returns the targets, in order, and the edits that could not be optimised.
        """
        if not requests:
            return [], []
        texts = [
            Text(prompt, target, self._start(prompt))
            for request in requests
            for prompt, target in zip(request.prompts, request.targets, strict=True)
        ]
        # [t]: which request each text belongs to.
        request_of = [i for i, request in enumerate(requests) for _ in request.prompts]
        run = SuffixRun(self._model, texts, self.hyperparameters.layer)
        inputs, outputs = capture(self._module, run.hidden)
        query = torch.tensor([len(t.prompt) - 1 - t.start for t in texts], device=inputs.device)
        at_query = torch.arange(len(texts), device=inputs.device), query
        keys = inputs[at_query].float()
        cold = outputs[at_query].float()

        first = [request_of.index(i) for i in range(len(requests))]
        values = cold[first].clone()
        drafts = [
            Target(
                request.edit_id,
                keys[torch.tensor(request_of) == i].cpu(),
                values[i].cpu(),
                request.targets[0],
            )
            for i, request in enumerate(requests)
        ]
        for wave in self._waves(codebook, drafts):
            for i, start in wave.items():
                if isinstance(start, int):
                    values[i] = values[start]  # of a batch-mate, optimised in an earlier wave
                elif start is not None:
                    values[i] = start.to(values.device)
            members = [t for t, i in enumerate(request_of) if i in wave]
            self._optimise(values, [texts[t] for t in members], [request_of[t] for t in members])

        done, failed = [], []
        for draft, value in zip(drafts, values.cpu(), strict=True):
            if torch.isfinite(value).all() and torch.isfinite(draft.keys).all():
                done.append(Target(draft.edit_id, draft.keys, value, draft.label))
            else:
                failed.append(EditingError(draft.edit_id, "its value or key is not finite"))
        return done, failed

    def _start(self, prompt: Sequence[int]) -> int:
        """The first token that the value can change: for replacements of the last token that one."""
        last = self.hyperparameters.replacement is Replacement.LAST
        return len(prompt) - 1 if last else 0

    def _waves(
        self, codebook: Codebook, drafts: Sequence[Target]
    ) -> list[dict[int, int | Tensor | None]]:
        """Sorts a batch into waves and says where each edit's value starts: at the module's own
        output (None) for an edit that adds an entry, and for one that widens an entry at that
        entry's value: a tensor, or the number of the batch-mate of an earlier wave that sets it.
        """
        draft = codebook.draft(self.site, drafts)
        size = len(codebook)
        writer: dict[int, int] = {}  # entry -> the batch-mate that set its value last
        wave_of: list[int] = []
        waves: list[dict[int, int | Tensor | None]] = []
        for i, target in enumerate(drafts):
            entry = draft.insert(target, self.hyperparameters.radius)
            mate = writer.get(entry)
            widens_old = entry < size and codebook.labels[entry] == target.label
            start: int | Tensor | None = codebook.values[entry] if widens_old else None
            if mate is not None and drafts[mate].label == target.label:
                start = mate
            wave_of.append(wave_of[start] + 1 if isinstance(start, int) else 0)
            if wave_of[i] == len(waves):
                waves.append({})
            waves[wave_of[i]][i] = start
            writer[entry] = i
        return waves

    def _optimise(self, values: Tensor, texts: Sequence[Text], owner: Sequence[int]) -> None:
        """Optimises rows of `values` [n, d] in place so that each text, under its owner's row,
        continues with its target; a row's loss is the mean of its texts' losses.
        """
        adam = Adam(values, self.hyperparameters.learning_rate)
        active = torch.tensor(sorted(set(owner)), device=values.device)
        run: _ValueRun | None = None
        for _ in range(self.hyperparameters.steps):
            # Edits that are done leave the batch; it is packed anew when half of it has gone.
            if run is None or 2 * len(active) <= len(run.rows):
                run = self._value_run(texts, owner, set(active.tolist()))
            rows = values[run.rows].requires_grad_()
            losses = run.losses(rows)
            going = torch.isin(run.rows, active) & (
                losses.detach() >= self.hyperparameters.stop_loss
            )
            if not bool(going.any()):
                break
            active = run.rows[going]
            adam.step(active, torch.autograd.grad(losses.sum(), rows)[0][going])

    def _value_run(
        self, texts: Sequence[Text], owner: Sequence[int], active: set[int]
    ) -> "_ValueRun":
        members = [t for t, row in enumerate(owner) if row in active]
        run = SuffixRun(self._model, [texts[t] for t in members], self.hyperparameters.layer)
        return _ValueRun(
            run,
            self._module,
            self._replaced(run, [texts[t] for t in members]),
            [owner[t] for t in members],
        )

    def _replaced(self, run: SuffixRun, texts: Sequence[Text]) -> Tensor:
        """[t, s]: the tokens of each suffix whose outputs the value takes the place of."""
        columns = torch.arange(run.present.shape[1], device=run.present.device)
        query = torch.tensor([len(t.prompt) - 1 - t.start for t in texts], device=columns.device)
        match self.hyperparameters.replacement:
            case Replacement.LAST:
                return columns == query[:, None]
            case Replacement.PROMPT:
                return columns < query[:, None]
            case Replacement.ALL:
                return columns <= query[:, None]


class _ValueRun:
    """A suffix run whose module returns rows of a table at the replaced tokens."""

    def __init__(
        self, run: SuffixRun, module: nn.Module, replaced: Tensor, owner: Sequence[int]
    ) -> None:
        self._run = run
        self._module = module
        self._replaced = replaced[..., None]  # [t, s, 1]
        rows, self._row_of = torch.unique(
            torch.tensor(owner, device=replaced.device), return_inverse=True
        )
        self.rows = rows  # [r]: the table's rows that take part
        self._texts_per_row = torch.bincount(self._row_of)

    def losses(self, values: Tensor) -> Tensor:
        """[r]: the mean loss of each row's texts under `values` [r, d]."""

        def place(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
            placed = values[self._row_of][:, None, :].to(output.dtype)
            return torch.where(self._replaced, placed, output)

        hook = self._module.register_forward_hook(place)
        try:
            by_text = self._run.losses()
        finally:
            hook.remove()
        return (
            torch.zeros_like(values[:, 0]).index_add(0, self._row_of, by_text) / self._texts_per_row
        )
