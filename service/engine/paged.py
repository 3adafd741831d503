"""Transformers' continuous batching (5.23) as a batch: paged KV cache, packed forward passes.

Its processor is used as it is: cache, scheduling, packing. Its manager is not, since

- its loop ends with the first pass that raises, and holds no place where passes could take turns
  with those of editing; it looks for work ten times a second when there is none;
- it passes on tokens by copying all of a request's tokens at each;
- its sampling draws all requests' tokens from one generator, so that a text depends on its
  neighbours.

So the processor is driven from the engine's own loop, and tokens are chosen by our own choosers in
the place where the library's runner samples. What the library calls finished never happens: its
requests have no end token and no limit, and are cancelled when ours end.
"""

import math
import queue
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.continuous_batching.cache import PagedAttentionCache
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessorList,
)
from transformers.generation.continuous_batching.continuous_api import (
    BackgroundThreadStatus,
    ContinuousBatchProcessor,
    OutputRouter,
)
from transformers.generation.continuous_batching.distributed import DistributedHelper
from transformers.generation.continuous_batching.initialization import (
    resolve_continuous_batching_config,
)
from transformers.generation.continuous_batching.input_outputs import ContinuousBatchingIOs
from transformers.generation.continuous_batching.model_runner import ModelRunner
from transformers.generation.continuous_batching.requests import RequestState, RequestStatus
from transformers.generation.continuous_batching.scheduler import FIFOScheduler

from service.engine.batch import ACTIVE
from service.engine.grid import Stretch
from service.engine.hits import Hits
from service.engine.packed_hooks import Memory
from service.engine.packing import needs_whole_prompts, pinned
from service.engine.running import Run
from service.engine.sampling import Choice, Chooser, choose

PAGE = 32  # tokens; a text holds half a page in vain, on average


def is_paged(model: PreTrainedModel) -> bool:
    """Whether the model's attention takes a paged cache, which lies on one device. Eager attention
    would, in a variant of the library's that leaves out the caps that Gemma 2 puts on its scores.
    """
    devices = {weight.device for weight in model.parameters()}
    sdpa = model.config._attn_implementation == "sdpa"
    return model._supports_attention_backend and sdpa and len(devices) == 1


class PagedBatch:
    """Texts of any versions in one packed pass. Prefix sharing is off: keys and values of a prompt
    are those of one version.
    """

    def __init__(
        self, model: PreTrainedModel, pass_tokens: int, cache_tokens: int, hits: Hits
    ) -> None:
        """`pass_tokens`: of one pass; a whole text and one token of each other one, at least.
        `cache_tokens`: those whose keys and values are held; one whole text's at least.
        """
        self._model = model
        self._runs: dict[str, Run] = {}
        self._memory = Memory(ACTIVE)
        self._hits = hits
        self._arrivals: queue.Queue[RequestState] = queue.Queue()
        self._processor = self._built(pass_tokens, cache_tokens)
        self._runner = _Runner(self._processor)
        self._processor.model_runner = self._runner

    def add(self, run: Run) -> None:
        self._runs[str(run.number)] = run
        prompt = list(run.wanted.prompt)
        self._arrivals.put(RequestState(str(run.number), prompt, max_new_tokens=None))

    def drop(self, runs: Sequence[Run]) -> None:
        scheduler = self._processor.scheduler
        for run in runs:
            del self._runs[str(run.number)]
            scheduler.set_request_cancellation(str(run.number))
        # The library lifts this where its own requests end, once a full cache made it stop.
        scheduler.block_new_requests = False

    @property
    def cache_share(self) -> float:
        return 1 - float(self._processor.cache.compute_free_capacity())

    def step(self) -> list[tuple[Run, Choice]]:
        if not self._processor.prepare_next_batch():
            raise RuntimeError("the cache has no room for any of the texts")
        stretches, asking = self._packed()
        self._runner.choosers = [run.chooser for run in asking]
        with pinned(self._model, stretches, self._memory, self._hits):
            self._processor._generation_step(self._model)
        self._processor.update_batch()
        return list(zip(asking, self._runner.choices, strict=True))

    def _packed(self) -> tuple[list[Stretch], list[Run]]:
        """Of the pass at hand: the stretches of texts that pin an overlay, in order, and the texts
        that want a token of it.
        """
        stretches, asking, row = [], [], 0
        inputs = cast("ContinuousBatchingIOs", self._processor.inputs_and_outputs)
        for future in inputs.requests_in_batch:
            run = self._runs[future.state.request_id]
            length = future.query_length
            if run.wanted.overlay is not None:
                # What the library counts as seen has this pass's tokens in it already.
                stretches.append(Stretch(run, row, future.state.position_offset - length, length))
            row += length
            if future.has_new_token:
                asking.append(run)
        return stretches, asking

    def _built(self, pass_tokens: int, cache_tokens: int) -> ContinuousBatchProcessor:
        model = self._model
        config = model.config.get_text_config()
        settings = resolve_continuous_batching_config(
            config=config,
            cb_config=ContinuousBatchingConfig(
                page_size=PAGE,
                num_blocks=math.ceil(cache_tokens / PAGE),
                max_batch_tokens=pass_tokens,
                max_requests_per_batch=min(ACTIVE, pass_tokens),
                max_blocks_per_request=0,  # of a fast path that flash attention alone has
                allow_block_sharing=False,
                use_async_batching=False,  # the next token's overlay must be known
                use_cuda_graph=False,  # a captured graph would replay one overlay
                auto_switch_to_flash=False,
                max_memory_percent=1.0,
                seed=0,
            ),
            workload_hints=None,
            has_logit_processors=False,
            device=model.device,
        )
        helper = DistributedHelper(device_mesh=None, cpu_group_timeout=None)
        cache = PagedAttentionCache(
            config, settings, model.device, helper, model.dtype, model_supports_logits_to_keep=True
        )
        # The processor seeds torch for sampling, which is not done by it here.
        with torch.random.fork_rng():
            return _Processor(
                cache=cache,
                config=config,
                generation_config=GenerationConfig(do_sample=False),
                continuous_batching_config=settings,
                logit_processor=ContinuousBatchingLogitsProcessorList(LogitsProcessorList()),
                input_queue=self._arrivals,
                cancel_queue=queue.Queue(),
                output_router=OutputRouter(),
                background_thread_status=BackgroundThreadStatus(),
                model_device=model.device,
                model_dtype=model.dtype,
                scheduler=_Scheduler(cache, self._runs),
                distributed_helper=helper,
            )


class _Processor(ContinuousBatchProcessor):
    """One that goes without a full garbage collection: it is made for CUDA graphs, which are not
    used here, and takes longer than the verification of an edit does.
    """

    def __del__(self) -> None:
        pass


class _Scheduler(FIFOScheduler):
    """First come, first served; texts that need it get their whole prompt into one pass."""

    def __init__(self, cache: PagedAttentionCache, runs: Mapping[str, Run]) -> None:
        most = min(ACTIVE, cache.max_batch_tokens)
        super().__init__(cache, safety_margin=None, max_requests_per_batch=most)
        self._runs = runs

    def _process_candidates(
        self, candidates: list[RequestState], token_budget: int, *others: Any
    ) -> Any:
        """The library would cut the prompt at which a pass is full."""
        fitting, left = [], token_budget
        for state in candidates:
            decoding = state.status is RequestStatus.DECODING
            length = 1 if decoding else len(state.remaining_prefill_tokens)
            overlay = self._runs[state.request_id].wanted.overlay
            if length <= left or not needs_whole_prompts(overlay):
                fitting.append(state)
                left -= min(left, length)
        return super()._process_candidates(fitting, token_budget, *others)


class _Runner(ModelRunner):
    """Chooses each text's token by its own chooser."""

    def __init__(self, processor: ContinuousBatchProcessor) -> None:
        super().__init__(
            logit_processor=processor.logit_processor,
            cb_config=processor.cb_config,
            inputs_and_outputs=processor.inputs_and_outputs,
            cache=processor.cache,
            do_sample=False,
            return_logprobs=False,
        )
        self.choosers: list[Chooser] = []  # of the rows of logits to come
        self.choices: list[Choice] = []

    def compute_batch(self, model: nn.Module, batch_data: dict[str, Any]) -> None:
        # Given it, transformers writes it into the model's configuration for as long as the pass
        # takes, and passes of other threads would see the tokens to come. The mask says it all.
        del batch_data["is_causal"]
        super().compute_batch(model, batch_data)

    def _sample(self, scores: Tensor, output_ids: Tensor) -> None:
        """Scores [1, n, vocabulary]; the tokens go into the first row of `output_ids`. Behind the
        texts that want a token there may be rows that nobody asked for.
        """
        asked = len(self.choosers)
        self.choices = choose(self.choosers, scores[0, :asked])
        tokens = [choice.token for choice in self.choices]
        output_ids[0, :asked] = torch.tensor(tokens, dtype=output_ids.dtype)
