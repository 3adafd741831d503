"""CounterFact's `requested_rewrite` (Meng et al. 2022), and MQuAKE's (Zhong et al. 2023), which
lists several: the edits that its multi-hop questions need.

https://github.com/princeton-nlp/MQuAKE, README.md.
"""

from typing import Annotated, Any

from pydantic import Field

from service.evaluation.datasets.fields import Part, Shape, Target, Text, Texts
from service.evaluation.datasets.record import Neighbor, Record


class NewTarget(Part):
    text: Target = Field(alias="str")


class TrueTarget(Part):
    text: Text = Field(alias="str")


class Rewrite(Part):
    prompt: Text  # with {} where the subject goes
    subject: Text
    target_new: NewTarget
    target_true: TrueTarget | None = None
    question: Text | None = None  # MQuAKE: the prompt, asked
    relation_id: Any = None

    def record(
        self, paraphrases: tuple[str, ...], neighbors: tuple[str, ...], beyond: dict[str, Any]
    ) -> Record:
        """All neighbours share the edited fact's true answer."""
        true = () if self.target_true is None else (self.target_true.text,)
        asked = () if self.question is None else (self.question,)
        relation = {} if self.relation_id is None else {"relation_id": self.relation_id}
        return Record(
            self.prompt.replace("{}", self.subject),
            self.target_new.text,
            self.subject,
            true,
            (*asked, *paraphrases),
            tuple(Neighbor(prompt, true) for prompt in neighbors),
            beyond={**beyond, **relation},
        )


class CounterFact(Shape):
    requested_rewrite: Rewrite
    paraphrase_prompts: Texts = ()
    neighborhood_prompts: Texts = ()

    def records(self) -> list[Record]:
        given = self.paraphrase_prompts, self.neighborhood_prompts
        return [self.requested_rewrite.record(*given, self.beyond)]


class MQuAKE(Shape):
    requested_rewrite: Annotated[list[Rewrite], Field(min_length=1)]

    def records(self) -> list[Record]:
        return [rewrite.record((), (), self.beyond) for rewrite in self.requested_rewrite]
