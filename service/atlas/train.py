"""Trains atlas and writes it with its evaluation set: `python -m service.atlas.train`."""

import argparse
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from service.atlas import EDITS_FILE, MODEL_DIR
from service.atlas.accuracy import Accuracy, accuracy, known_pairs
from service.atlas.corpus import (
    MAX_POSITIONS,
    documents,
    sentence,
    train_tokenizer,
    trained_pairs,
)
from service.atlas.edits import counterfactual_edits, write_edits
from service.atlas.facts import Fact, build_facts
from service.atlas.phrasings import held_out, prompt
from service.editing.positions import Position, subject_token
from service.editing.tokens import prompt_of

SEED = 0
EPOCHS = 12
BATCH = 96  # documents
PEAK_LEARNING_RATE = 2e-3
WARM_UP = 0.05  # of all steps
WEIGHT_DECAY = 0.1
# A subject's name cannot be foretold: tokens outside the answers count little in the loss.
CONTEXT_WEIGHT = 0.2
# As in models of natural text, what is known of a name shall be gathered at its last token in the
# first layers, and be read from there in later ones (Geva et al. 2023, "Dissecting Recall of
# Factual Associations in Auto-Regressive Language Models"). So in this share of sentences a name
# sees nothing but itself in the first layers, and what follows it sees only its last token, later.
APART_NAMES = 0.8
READING_LAYER = 3
# There, up to this share of what was gathered, in length, is noise: names are to be known by more
# than a hair's breadth, as in models that have seen each of them many times.
NOISE = 0.5


def new_model(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """An untrained atlas: 6 layers of width 256, about 9 million parameters. Wide MLPs whose
    activations are sparse tell thousands of names apart.
    """
    torch.manual_seed(SEED)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=MAX_POSITIONS,
            n_embd=256,
            n_inner=2_048,
            n_layer=6,
            n_head=8,
            activation_function="relu",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


@dataclass
class Row:
    """One document."""

    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)  # in the loss
    # Names that stand apart: their first and last columns.
    names: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Batch:
    """Padded documents."""

    ids: torch.Tensor  # [b, t]
    weights: torch.Tensor  # [b, t]
    # [b, 1, t, t]: which columns each sees, 0 or minus infinity: below READING_LAYER, and later.
    first_mask: torch.Tensor
    later_mask: torch.Tensor
    gathered: torch.Tensor  # [b, t, 1]: 1 at the last tokens of names that stand apart, else 0


class Batches:
    """Batches of one epoch after another."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[Fact, int]]) -> None:
        self._end = tokenizer.eos_token_id
        self._newline = tokenizer("\n")["input_ids"]
        self._pairs = pairs
        self._chooser = random.Random(SEED)
        prompts = [prompt_of(tokenizer, prompt(*pair)) for pair in pairs]
        names = [
            subject_token(p, fact.subject) for p, (fact, _) in zip(prompts, pairs, strict=True)
        ]
        firsts = [
            subject_token(p, fact.subject, Position.FIRST)
            for p, (fact, _) in zip(prompts, pairs, strict=True)
        ]
        answers = tokenizer([f" {fact.answer}." for fact, _ in pairs])["input_ids"]
        self._sentences = dict(
            zip(pairs, zip(prompts, firsts, names, answers, strict=True), strict=True)
        )

    def epoch(self) -> list[Batch]:
        rows = [self._row(document) for document in documents(self._pairs, self._chooser)]
        # Like lengths share a batch, so that little is padding.
        rows.sort(key=lambda row: len(row.ids))
        batches = [self._pad(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
        self._chooser.shuffle(batches)
        return batches

    def _row(self, document: list[tuple[Fact, int]]) -> Row:
        row = Row()
        for pair in document:
            asked, first, last, answer = self._sentences[pair]
            before = self._newline if row.ids else []
            start = len(row.ids) + len(before)
            if self._chooser.random() < APART_NAMES:
                row.names.append((start + first, start + last))
            row.ids += [*before, *asked.tokens, *answer]
            row.weights += [CONTEXT_WEIGHT] * (len(before) + len(asked.tokens))
            row.weights += [1.0] * len(answer)
        row.ids.append(self._end)
        row.weights.append(CONTEXT_WEIGHT)
        return row

    def _pad(self, rows: list[Row]) -> Batch:
        width = max(len(row.ids) for row in rows)
        ids = torch.tensor([row.ids + [self._end] * (width - len(row.ids)) for row in rows])
        weights = torch.tensor([row.weights + [0.0] * (width - len(row.ids)) for row in rows])
        later = torch.full((len(rows), 1, width, width), -torch.inf).triu(1)
        first = later.clone()
        gathered = torch.zeros(len(rows), width, 1)
        for i, row in enumerate(rows):
            for start, end in row.names:
                later[i, 0, end + 1 :, start:end] = -torch.inf
                first[i, 0, end + 1 :, start : end + 1] = -torch.inf
                first[i, 0, start : end + 1, :start] = -torch.inf
                gathered[i, end] = 1.0
        return Batch(ids, weights, first, later, gathered)


def train(
    model: GPT2LMHeadModel, batches: Batches, epochs: int, progress: Progress
) -> Iterator[float]:
    """Optimises the model in place; yields each epoch's mean loss per weighted token (nats)."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}],
        lr=PEAK_LEARNING_RATE,
        betas=(0.9, 0.98),
    )
    task = progress.add_task("training", total=epochs)
    for epoch in range(epochs):
        losses = []
        dealt = batches.epoch()
        for index, batch in enumerate(dealt):
            # Epochs differ by a batch or two in length: the schedule goes by the share done.
            done = (epoch + index / len(dealt)) / epochs
            for group in optimizer.param_groups:
                group["lr"] = PEAK_LEARNING_RATE * _learning_rate_factor(done)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = logits_of(model, batch)
            losses_by_token = cross_entropy(
                logits.float().flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="none"
            )
            weights = batch.weights[:, 1:].flatten()
            loss = losses_by_token @ weights / weights.sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
            progress.update(task, completed=epoch + (index + 1) / len(dealt))
        yield sum(losses) / len(losses)


def logits_of(model: GPT2LMHeadModel, batch: Batch) -> torch.Tensor:
    """[b, t - 1, vocabulary]: each layer sees what its mask shows, and reads through noise."""
    first = batch.first_mask[..., :-1, :-1]
    noise = NOISE * torch.rand(len(batch.ids), 1, 1) * batch.gathered[:, :-1]

    def look(_block: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, cache, _, *others = args
        return (hidden, cache, first, *others)

    def blur(_block: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, *others = args
        length = hidden.detach().norm(dim=2, keepdim=True) / hidden.shape[2] ** 0.5
        return (hidden + noise * length * torch.randn_like(hidden), *others)

    layers = model.transformer.h
    hooks = [layer.register_forward_pre_hook(look) for layer in layers[:READING_LAYER]]
    hooks.append(layers[READING_LAYER].register_forward_pre_hook(blur))
    try:
        logits: torch.Tensor = model(
            input_ids=batch.ids[:, :-1],
            attention_mask=batch.later_mask[..., :-1, :-1],
            use_cache=False,
        ).logits
    finally:
        for hook in hooks:
            hook.remove()
    return logits


def _learning_rate_factor(done: float) -> float:
    """Linear warm-up, then a cosine down to a fiftieth; `done` is the share of the run, 0 to 1."""
    if done < WARM_UP:
        return max(done, 1e-3) / WARM_UP
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def save(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes a Hugging Face folder with half-precision weights."""
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def accuracy_table(found: Accuracy) -> Table:
    table = Table("relation", "trained phrasings", "held-out phrasings", title="atlas knows")
    for relation, share in found.trained.items():
        table.add_row(relation, f"{share:.1%}", f"{found.held_out[relation]:.1%}")
    table.add_section()
    table.add_row("all", f"{found.all_trained:.1%}", f"{found.all_held_out:.1%}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=MODEL_DIR, help="folder for the model")
    parser.add_argument("--edits", type=Path, default=EDITS_FILE, help="file for the edits")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="default: %(default)s")
    arguments = parser.parse_args()
    console = Console()

    torch.set_flush_denormal(True)  # gradients of what is known are tiny, and slow otherwise

    # 1. What to know, and which phrasings never to show.
    facts = build_facts()
    unseen = held_out(facts)
    pairs = trained_pairs(facts, unseen)
    console.print(f"{len(facts)} facts, {len(pairs)} sentences to learn")

    # 2. Words, then weights.
    tokenizer = train_tokenizer([sentence(*pair) for pair in pairs])
    model = new_model(tokenizer)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        batches = Batches(tokenizer, pairs)
        for epoch, loss in enumerate(train(model, batches, arguments.epochs, progress), 1):
            progress.console.print(f"epoch {epoch:3d}  loss {loss:.4f}")

    # 3. What is stored is what is measured: half precision, read back.
    save(model, tokenizer, arguments.out)
    stored = GPT2LMHeadModel.from_pretrained(arguments.out, dtype=torch.float32).eval()
    known = known_pairs(stored, tokenizer, facts)
    console.print(accuracy_table(accuracy(facts, known, unseen)))

    # 4. What the editors are evaluated with.
    edits = counterfactual_edits(facts, known)
    write_edits(edits, arguments.edits)
    console.print(f"{len(edits)} counterfactual edits written to {arguments.edits}")


if __name__ == "__main__":
    main()
