"""Asks a server for the scope of the edits that it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.evaluation.answers import (
    FreeQuestion,
    behind_text,
    behind_turns,
    in_chats,
    to_paraphrases,
    to_prompts,
)
from service.evaluation.datasets import Record
from service.evaluation.figures import share
from service.evaluation.others import about_other_subjects, in_other_templates
from service.evaluation.scope import Scope
from service.evaluation.server import Asker, Server
from service.evaluation.unrelated import PROMPTS

# Generated beyond a target: what may go before it, and whether its last word goes on.
BEYOND_TOKENS = 4
CONTINUATION_TOKENS = 8  # of a prompt that no edit should reach, to be compared with version 0's


def scope_of(
    asker: Asker, records: Sequence[Record], given: int, beside: Sequence[Record] = ()
) -> Scope:
    """`given`: paraphrases that each edit brought; the others are asked. `beside`: records that are
    not edited.
    """
    about = asker.server.get("/version")
    if about["chats"]:
        context = behind_turns(records, system_messages=about["system_messages"])
        chats = in_chats(records)
    else:
        context, chats = behind_text(records), []
    answers = _Answers(asker, about["model"], _lengths(asker, records))
    neighbors = [neighbor.prompt for r in records for neighbor in r.neighborhood]
    return Scope(
        prompt=answers.right("answers to prompts", to_prompts(records)),
        paraphrase=answers.right("answers to paraphrases", to_paraphrases(records, given)),
        context=answers.right("answers behind context", context),
        chat=answers.right("answers in chats", chats),
        neighborhood=_unchanged(asker, "comparing neighbours", neighbors),
        other_subject=_unchanged(
            asker, "comparing other subjects", about_other_subjects(records, beside)
        ),
        other_template=_unchanged(asker, "comparing other templates", in_other_templates(records)),
        unrelated=_unchanged(asker, "comparing unrelated text", PROMPTS),
    )


@dataclass(frozen=True)
class _Answers:
    asker: Asker
    model: str  # the current version's name in OpenAI's API
    lengths: dict[str, int]  # tokens of each target

    def right(self, what: str, questions: Sequence[FreeQuestion]) -> float | None:
        """The share of right answers."""
        return share(self.asker.each(what, self._is_right, questions))

    def _is_right(self, server: Server, question: FreeQuestion) -> bool:
        tokens = self.lengths[question.target] + BEYOND_TOKENS
        if isinstance(question.text, str):
            body = {"prompt": question.text, "temperature": 0, "max_new_tokens": tokens}
            return question.is_right(server.post("/generate", body)["text"])
        messages = [{"role": role, "content": content} for role, content in question.text]
        body = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": tokens}
        choice = server.post("/v1/chat/completions", body)["choices"][0]
        return question.is_right(choice["message"]["content"])


def _lengths(asker: Asker, records: Sequence[Record]) -> dict[str, int]:
    """The tokens of each target, behind the prompt of a record that has it."""
    prompts = {r.target_new: r.prompt for r in records}

    def tokens(server: Server, target: str) -> int:
        body = {"prompt": prompts[target], "targets": [target]}
        length: int = server.post("/score", body)["scores"][0]["tokens"]
        return length

    targets = list(prompts)
    return dict(zip(targets, asker.each("measuring targets", tokens, targets), strict=True))


def _unchanged(asker: Asker, what: str, prompts: Sequence[str]) -> float | None:
    """The share of those that go on as in the base model."""
    return share(asker.each(what, _goes_on_alike, prompts))


def _goes_on_alike(server: Server, prompt: str) -> bool:
    body: dict[str, Any] = {"prompt": prompt, "left": 0, "max_new_tokens": CONTINUATION_TOKENS}
    same: bool = server.post("/compare", body)["same"]
    return same
