"""Transformers' own continuous batching, of token ids: the baseline of generation's speed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.continuous_batching import ContinuousBatchingManager

from service.engine.batch import ACTIVE
from service.engine.engine import CACHE_TOKENS, PASS_TOKENS
from service.engine.paged import PAGE
from tests.bench.load import Text
from tests.bench.shapes import Shape


class Bare:
    """Its manager, in the thread that it makes. It says when each token came, for nothing."""

    def __init__(self, shape: Shape, manager: ContinuousBatchingManager) -> None:
        self._shape = shape
        self._manager = manager

    def begin(self, prompt: str) -> None:
        tokens = self._shape.engine.prompt_tokens(prompt)
        self._manager.add_request(
            list(tokens), max_new_tokens=self._shape.new_tokens, record_timestamps=True
        )

    def ended(self) -> Text:
        output = self._manager.get_result()
        assert output is not None
        assert output.error is None
        return Text(output.created_time, output.timestamps or [])


@contextmanager
def bare(shape: Shape) -> Iterator[Bare]:
    """With a cache and passes as large as ours."""
    settings = ContinuousBatchingConfig(
        page_size=PAGE,
        num_blocks=CACHE_TOKENS // PAGE,
        max_batch_tokens=max(PASS_TOKENS, shape.engine.longest_text + ACTIVE),
    )
    greedy = GenerationConfig(do_sample=False, eos_token_id=-1)
    # Mixed into a model, which is typed as a module with any attribute.
    opened: Any = shape.loaded.model.continuous_batching_context_manager
    with opened(generation_config=greedy, continuous_batching_config=settings) as manager:
        yield Bare(shape, manager)
