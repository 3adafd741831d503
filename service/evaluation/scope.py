"""How far edits reach, and where they end.

That a target has become likelier than another one, or that greedy decoding says it once it is led
there, flatters an editor. Here a model speaks freely: its answers must be the whole target where an
edit should reach, and what the base model says everywhere else.
"""

from dataclasses import astuple, dataclass

from service.evaluation.figures import harmonic_mean


@dataclass(frozen=True)
class Scope:
    """Shares, 0 to 1; None where there was nothing to ask."""

    # The greedy answer begins with target_new, and does not lengthen its last word:
    prompt: float | None
    paraphrase: float | None
    context: float | None  # to the prompt, behind instructions and an earlier turn
    chat: float | None  # to the prompt in the chat template
    # The next tokens are the base model's:
    neighborhood: float | None
    other_subject: float | None  # in the prompt, in the subject's place
    other_template: float | None  # another record's, around the subject
    unrelated: float | None

    @property
    def harmonic(self) -> float:
        """H, to rank editors by: of those shares that there are. One that is 0 makes it 0."""
        return harmonic_mean(astuple(self))
