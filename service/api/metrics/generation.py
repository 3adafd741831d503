"""What the engine does: texts, tokens, time, memory."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from service.api.metrics.families import counter, counters, gauge, gauges, histogram
from service.engine.engine import Engine
from service.engine.memory import device_memory


def generation(engine: Engine) -> Iterator[Metric]:
    load, counts = engine.load, engine.counts
    yield gauge("errata_num_requests_running", "texts in the running batch", load.running)
    yield gauge("errata_num_requests_waiting", "texts that wait for a place in it", load.waiting)
    yield gauge(
        "errata_kv_cache_usage_perc",
        "share of the paged cache that is taken, 0 to 1; none where batches are padded",
        load.cache_share,
    )
    yield counter("errata_prompt_tokens", "tokens of prompts that were run", counts.prompt_tokens)
    yield counter(
        "errata_generation_tokens",
        "tokens generated, those that end a text included",
        counts.generated_tokens,
    )
    yield counters(
        "errata_request_success",
        "texts that ended, by `finished_reason`: `stop`, `length`, `abort` (its client left), "
        "`error`",
        ("finished_reason",),
        {(ending.value,): count for ending, count in counts.endings.items()},
    )
    yield histogram(
        "errata_time_to_first_token_seconds",
        "from a text's arrival to its first token",
        counts.first_token_s,
    )
    yield histogram(
        "errata_inter_token_latency_seconds", "from token to token", counts.next_token_s
    )
    yield histogram(
        "errata_e2e_request_latency_seconds",
        "from a text's arrival to its end",
        counts.whole_text_s,
    )
    yield counter(
        "errata_hits", "tokens that codebook entries answered, on any version", engine.hits.total
    )
    yield _memory(engine)


def _memory(engine: Engine) -> Metric:
    found: dict[tuple[str, ...], float] = {}
    for device, allocated, reserved in device_memory(engine.loaded.model):
        found[device, "allocated"] = allocated
        found[device, "reserved"] = reserved
    return gauges(
        "errata_device_memory_bytes",
        "memory of an accelerator, by `device` and `kind`: `allocated`, `reserved`",
        ("device", "kind"),
        found,
    )
