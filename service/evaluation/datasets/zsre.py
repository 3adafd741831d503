"""zsRE as MEND prepared it (Mitchell et al. 2022): questions, with one of Natural Questions as the
neighbour.
"""

from service.evaluation.datasets.fields import Answers, Shape, Target, Text, Texts
from service.evaluation.datasets.record import Neighbor, Record


class ZsRE(Shape):
    src: Text
    alt: Target
    subject: Text | None = None
    answers: Answers = ()
    rephrase: Texts = ()
    loc: Text | None = None
    loc_ans: Answers = ()

    def records(self) -> list[Record]:
        near = () if self.loc is None else (Neighbor(self.loc, self.loc_ans),)
        return [
            Record(
                self.src,
                self.alt,
                self.subject,
                self.answers,
                self.rephrase,
                near,
                beyond=self.beyond,
            )
        ]
