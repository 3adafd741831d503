"""Questions whose answers are generated freely, and when such an answer is right."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.editing.lengthening import lengthens
from service.evaluation.datasets import Record

# What goes before a prompt that is asked behind context: nothing that an edit may be about, and so
# short that a small model minds it little (atlas, unedited, still gives 9 of 10 answers).
INSTRUCTIONS = "Answer in a few words."
EARLIER_QUESTION = "What do bees make?"
EARLIER_ANSWER = "Honey."

Conversation = tuple[tuple[str, str], ...]  # the role and the content of each message


@dataclass(frozen=True)
class FreeQuestion:
    """Answered by greedy generation."""

    text: str | Conversation  # plain text, or what goes through the model's chat template
    target: str

    def is_right(self, answer: str) -> bool:
        """Whether `answer` begins with the whole target, and its last word ends there."""
        target, said = self.target.strip(), answer.lstrip()
        return said.startswith(target) and not lengthens(target, said[len(target) :])


def to_prompts(records: Iterable[Record]) -> list[FreeQuestion]:
    return [FreeQuestion(r.prompt, r.target_new) for r in records]


def to_paraphrases(records: Iterable[Record], given: int) -> list[FreeQuestion]:
    """Asks the paraphrases from number `given` on."""
    return [
        FreeQuestion(paraphrase, r.target_new)
        for r in records
        for paraphrase in r.paraphrases[given:]
    ]


def in_chats(records: Iterable[Record]) -> list[FreeQuestion]:
    return [FreeQuestion((("user", r.prompt),), r.target_new) for r in records]


def behind_text(records: Iterable[Record]) -> list[FreeQuestion]:
    """For a model without a chat template."""
    before = f"{INSTRUCTIONS}\nQ: {EARLIER_QUESTION}\nA: {EARLIER_ANSWER}\n"
    return [FreeQuestion(before + r.prompt, r.target_new) for r in records]


def behind_turns(records: Iterable[Record], *, system_messages: bool) -> list[FreeQuestion]:
    """`system_messages`: the chat template takes them; else the first question brings what they
    would say.
    """
    before: Conversation = (
        (("system", INSTRUCTIONS), ("user", EARLIER_QUESTION))
        if system_messages
        else (("user", f"{INSTRUCTIONS}\n\n{EARLIER_QUESTION}"),)
    )
    before += (("assistant", EARLIER_ANSWER),)
    return [FreeQuestion((*before, ("user", r.prompt)), r.target_new) for r in records]
