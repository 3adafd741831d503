"""Asks the model: text, probabilities, and two versions side by side."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.domain.edits import Format
from service.engine.engine import Engine
from service.engine.running import Wanted
from service.engine.sampling import Sampling
from service.engine.scoring import Continuation, Score
from service.errors import FieldError, InvalidRequestError, NotFoundError
from service.operations.answering import Answer, Answering
from service.operations.overlays import Overlays, Pinned
from service.operations.prompts import Prompts
from service.operations.spans import Spans
from service.operations.wording import Pair, Wording

NEW_TOKENS = 32  # of a generation that names no number


@dataclass(frozen=True)
class AskLimits:
    prompt_tokens: int
    target_tokens: int
    new_tokens: int  # of one generation


@dataclass(frozen=True)
class Manner:
    """How prompts are continued."""

    max_new_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stops: tuple[str, ...] = ()
    count: int = 1  # texts to each prompt, each with a seed of its own
    explain: bool = False  # record what the version's overlay does


GREEDY = Manner()


class Ask:
    def __init__(self, engine: Engine, overlays: Overlays, limits: AskLimits, spans: Spans) -> None:
        self._engine = engine
        self._overlays = overlays
        self._limits = limits
        self._spans = spans
        self._wording = Wording(engine)
        self.prompts = Prompts(engine, limits.prompt_tokens)

    async def generate(
        self, prompt: str, version: int | None, form: Format = Format.PLAIN, manner: Manner = GREEDY
    ) -> Answer:
        """The continuations of one prompt, when they are whole."""
        prompts, pinned = await asyncio.to_thread(self._asked, prompt, form, version)
        return await self.answer(prompts, pinned, manner).whole()

    async def stream(
        self, prompt: str, version: int | None, form: Format = Format.PLAIN, manner: Manner = GREEDY
    ) -> Answering:
        """The same, as they come. What is wrong with the question is raised at once."""
        prompts, pinned = await asyncio.to_thread(self._asked, prompt, form, version)
        return self.answer(prompts, pinned, manner, streamed=True)

    def answer(
        self,
        prompts: Sequence[tuple[int, ...]],
        pinned: Pinned,
        manner: Manner,
        *,
        streamed: bool = False,
    ) -> Answering:
        """Begins to continue each of these prompts (token ids, checked) in `manner`, in all of its
        texts. For the thread of an event loop.
        """
        wanted = [
            Wanted(
                prompt=prompt,
                overlay=pinned.overlay,
                max_new_tokens=self._new_tokens(manner.max_new_tokens),
                sampling=manner.sampling.of_choice(number),
                stops=manner.stops,
                streamed=streamed,
                explain=manner.explain,
            )
            for prompt in prompts
            for number in range(manner.count)
        ]
        return Answering(self._engine, self._spans, pinned.version, wanted)

    async def compare(
        self,
        prompt: str,
        left: int,
        right: int | None,
        form: Format = Format.PLAIN,
        manner: Manner = GREEDY,
    ) -> list[Answer]:
        """The answers of two versions, side by side in one batch."""
        asked = [
            self._generate_at(field, prompt, version, form, manner)
            for field, version in (("left", left), ("right", right))
        ]
        return list(await asyncio.gather(*asked))

    async def _generate_at(
        self, field: str, prompt: str, version: int | None, form: Format, manner: Manner
    ) -> Answer:
        try:
            return await self.generate(prompt, version, form, manner)
        except NotFoundError as error:
            raise NotFoundError(error.kind, error.number, field) from None

    def score(
        self,
        prompt: str,
        targets: Sequence[str],
        version: int | None,
        form: Format = Format.PLAIN,
        *,
        explain: bool = False,
    ) -> tuple[int, list[Score]]:
        """Returns the version that answered and the score of each target, in order."""
        self.prompts.of_text(prompt, form)
        pairs = [Pair(prompt, target, form) for target in targets]
        # Before the model is asked what joins them, which may make a target a token longer.
        self._check_lengths([self._engine.continuation(p.prompt, p.target, form) for p in pairs])
        continuations = self._wording.continuations(pairs)
        self._check_lengths(continuations)
        pinned = self._overlays.at(version)
        scores = self._engine.answer(pinned.overlay, continuations, explain=explain)
        for score in scores:
            if score.record is not None:
                score.record.attribute()
        return pinned.version, scores

    def _check_lengths(self, continuations: Sequence[Continuation]) -> None:
        """Raises `InvalidRequestError`, which names each target that is too long."""
        errors = []
        for i, continuation in enumerate(continuations):
            length = len(continuation.target)
            whole = length + len(continuation.prompt)
            if length > self._limits.target_tokens:
                most = self._limits.target_tokens
                errors.append(FieldError(f"targets[{i}]", f"has {length} tokens, at most {most}"))
            elif whole > self._engine.loaded.max_tokens:
                most = self._engine.loaded.max_tokens
                errors.append(
                    FieldError(f"targets[{i}]", f"ends at token {whole}; the model has {most}")
                )
        if errors:
            raise InvalidRequestError(errors)

    def _asked(
        self, prompt: str, form: Format, version: int | None
    ) -> tuple[list[tuple[int, ...]], Pinned]:
        return [self.prompts.of_text(prompt, form)], self._overlays.at(version)

    def _new_tokens(self, asked: int | None) -> int:
        most = self._limits.new_tokens
        if asked is None:
            return min(NEW_TOKENS, most)
        if asked > most:
            reason = f"is {asked}, at most {most} are generated"
            raise InvalidRequestError([FieldError("max_new_tokens", reason)])
        return asked
