"""The table of values that GRACE optimises, and the pass that tries them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from service.editing.codebook import Replacement, Target
from service.editing.descent import Losses
from service.editing.prefixes import Text
from service.editing.suffix import SuffixRun
from service.editing.taps import after, per_text

# How many times the loss of its worst token may be the mean under which a group is done.
WORST = 5
# How far each token of a spelling must be ahead of all others, in nats: it need not be certain.
LEAD = 0.5


@dataclass(frozen=True)
class ValueTable:
    """Which row of a table of values stands at which token of which text.

    The texts of one edit that continue with the same tokens share their rows: they are a group,
    known by its first row. Groups do not see each other.
    """

    texts: tuple[Text, ...]
    rows: tuple[tuple[int, ...], ...]  # per text: at its prompt's last token, and those after it

    @classmethod
    def of(cls, texts: Sequence[Text], every_token: bool) -> "ValueTable":
        """`every_token`: a row for each token that has one of the target to bring out; otherwise
        only for the prompt's last.
        """
        known: dict[tuple[int, tuple[int, ...]], tuple[int, ...]] = {}
        count = 0
        for text in texts:
            if (text.edit, text.target) not in known:
                width = len(text.target) if every_token else 1
                known[text.edit, text.target] = tuple(range(count, count + width))
                count += width
        return cls(tuple(texts), tuple(known[text.edit, text.target] for text in texts))

    def of_edits(self, edits: set[int]) -> "ValueTable":
        """The part that belongs to `edits`; the rows keep their numbers."""
        return self._of([i for i, text in enumerate(self.texts) if text.edit in edits])

    def of_groups(self, groups: set[int]) -> "ValueTable":
        """The part that belongs to `groups`; the rows keep their numbers."""
        return self._of([i for i, rows in enumerate(self.rows) if rows[0] in groups])

    @property
    def has_spelled(self) -> bool:
        return any(text.spelled for text in self.texts)

    def taught(self) -> "ValueTable":
        """The texts that values are optimised on first: of the spellings of an edit only one that
        no given phrasing shares its rows with. The rows keep their numbers.
        """
        given = {rows for t, rows in zip(self.texts, self.rows, strict=True) if not t.spelled}
        kept: list[int] = []
        for i, (text, rows) in enumerate(zip(self.texts, self.rows, strict=True)):
            if not text.spelled or rows not in given:
                kept.append(i)
                given.add(rows)
        return self._of(kept)

    def _of(self, kept: Sequence[int]) -> "ValueTable":
        return ValueTable(tuple(self.texts[i] for i in kept), tuple(self.rows[i] for i in kept))

    def rows_of(self, edit: int) -> list[int]:
        """The rows of one edit, ascending."""
        _, _, rows = self.queries
        return sorted({rows[query] for query in self._queries_of[edit]})

    @property
    def whole_sizes(self) -> list[int]:
        """By edit, how many tokens its texts have together."""
        return self._sizes([len(text.prompt) + len(text.target) for text in self.texts])

    @property
    def suffix_sizes(self) -> list[int]:
        """By edit, how many of them a step runs."""
        return self._sizes([len(text.suffix) for text in self.texts])

    def _sizes(self, by_text: Sequence[int]) -> list[int]:
        sizes: dict[int, int] = {}
        for text, size in zip(self.texts, by_text, strict=True):
            sizes[text.edit] = sizes.get(text.edit, 0) + size
        return [sizes[edit] for edit in sorted(sizes)]

    def queries_of(self, edit: int) -> list[int]:
        """Which of all keyed tokens are those of one edit."""
        return self._queries_of[edit]

    @cached_property
    def _queries_of(self) -> dict[int, list[int]]:
        """By edit, which of all keyed tokens are its own."""
        texts, _, _ = self.queries
        found: dict[int, list[int]] = {}
        for query, text in enumerate(texts):
            found.setdefault(self.texts[text].edit, []).append(query)
        return found

    @cached_property
    def queries(self) -> tuple[list[int], list[int], list[int]]:
        """The text, the column in its suffix and the row of each keyed token, text by text."""
        return (
            [i for i, rows in enumerate(self.rows) for _ in rows],
            [
                text.query + offset
                for text, rows in zip(self.texts, self.rows, strict=True)
                for offset in range(len(rows))
            ],
            [row for rows in self.rows for row in rows],
        )

    def target(
        self, edit: int, edit_id: int, keys: Tensor, radii: Tensor, values: Tensor
    ) -> Target:
        """What one edit brings to the codebook, out of all `keys` [q, d_key], their `radii` [q] and
        `values`.
        """
        texts, columns, rows = self.queries
        queries = self.queries_of(edit)
        own = self.rows_of(edit)
        label_of = {
            rows[q]: self.texts[texts[q]].target[columns[q] - self.texts[texts[q]].query :]
            for q in queries
        }
        return Target(
            edit_id=edit_id,
            keys=keys[queries],
            values=values[own],
            labels=tuple(label_of[row] for row in own),
            value_of=tuple(own.index(rows[q]) for q in queries),
            spelled=tuple(self.texts[texts[q]].spelled for q in queries),
            radii=tuple(radii[queries].tolist()),
        )


class ValueRun:
    """A suffix run whose module returns rows of the table at the tokens that they replace.

    `module` is tapped in the run. It is None where the module's output is simply added to what its
    layer returns: `run` then starts behind that layer, watches the module, and is shifted by what
    the rows differ from its output.
    """

    def __init__(
        self, run: SuffixRun, module: nn.Module | None, table: ValueTable, replacement: Replacement
    ) -> None:
        self._run = run
        self._module = module
        self._table = table
        self._replacement = replacement
        device = run.present.device
        placed = torch.full(run.present.shape, -1, device=device)  # [t, s]: row, or none
        for i, (text, rows) in enumerate(zip(table.texts, table.rows, strict=True)):
            if replacement is not Replacement.PROMPT:
                placed[i, text.query : text.query + len(rows)] = torch.tensor(rows, device=device)
            if replacement is not Replacement.LAST:
                placed[i, : text.query] = rows[0]
        group_of = {row: rows[0] for rows in table.rows for row in rows}
        used = sorted(group_of)

        self.rows = torch.tensor(used, device=device)  # [r]: the rows that take part
        self._group_of_text = torch.tensor([rows[0] for rows in table.rows], device=device)
        # [u]: the groups that do.
        self.units, self._unit_of_text = self._group_of_text.unique(return_inverse=True)
        group_of_row = torch.tensor([group_of[row] for row in used], device=device)
        self.unit_of_row = torch.searchsorted(self.units, group_of_row)
        self._spelled = torch.tensor([text.spelled for text in table.texts], device=device)
        self._replaced = (placed >= 0)[..., None]  # [t, s, 1]
        self._placed = torch.searchsorted(self.rows, placed.clamp(min=used[0]))

    def part(self, units: Tensor) -> "ValueRun":
        texts = torch.isin(self._group_of_text, units)
        table = self._table.of_groups(set(units.tolist()))
        return ValueRun(self._run.part(texts), self._module, table, self._replacement)

    def losses(self, values: Tensor) -> Losses:
        """The mean loss of each group's texts with `values` [r, d] in place. A group is done when
        its given texts are, and each token of the other spellings is ahead of all others.
        """

        def place(_args: object, output: Tensor) -> Tensor:
            own = per_text(output, self._run.present)
            placed = values[self._placed].to(own.dtype)
            return torch.where(self._replaced, placed, own).view_as(output).to(output.device)

        if self._module is not None:
            with after({self._module: place}):
                logits = self._run.logits()
        else:
            _, own = self._run.watched
            logits = self._run.logits(place((), own) - own)
        by_token = self._run.by_token(logits)
        by_text = self._run.losses(by_token)
        mean = self._mean(by_text, torch.ones_like(by_text))
        with torch.no_grad():
            leads = self._run.leads(logits)
            reached = self._reached(by_token.detach(), by_text.detach(), leads)
        return Losses(mean, reached)

    def _mean(self, by_text: Tensor, weights: Tensor) -> Tensor:
        """[u] of texts [t], each of weight 0 or 1; 0 where none has any."""
        zeros = torch.zeros(len(self.units), device=by_text.device)
        sums = zeros.index_add(0, self._unit_of_text, by_text * weights)
        return sums / zeros.index_add(0, self._unit_of_text, weights).clamp(min=1)

    def _reached(self, by_token: Tensor, by_text: Tensor, leads: Tensor) -> Tensor:
        """[u]: the mean loss of the given texts, or a share of their worst token's: a mean of many
        hides one that is not learned. Infinite where a spelling's token does not lead.
        """
        spelled = self._spelled[self._run.text_of_row]
        given = torch.where(spelled, 0.0, by_token / WORST)
        behind = torch.where(spelled & (leads < LEAD), torch.inf, given)
        mean = self._mean(by_text, (~self._spelled).to(by_text))
        return mean.scatter_reduce(0, self._unit_of_text[self._run.text_of_row], behind, "amax")
