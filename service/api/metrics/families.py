"""Prometheus' families, filled from what the server counts anyway."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from service.domain.distribution import Distribution

Labels = tuple[str, ...]
F = TypeVar("F", GaugeMetricFamily, CounterMetricFamily)


def gauge(name: str, meaning: str, value: float | None) -> GaugeMetricFamily:
    """Without a sample where there is no value."""
    return gauges(name, meaning, (), {} if value is None else {(): value})


def gauges(
    name: str, meaning: str, labels: Labels, values: Mapping[Labels, float]
) -> GaugeMetricFamily:
    return _filled(GaugeMetricFamily(name, meaning, labels=labels), values)


def counter(name: str, meaning: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, meaning, value=value)


def counters(
    name: str, meaning: str, labels: Labels, values: Mapping[Labels, float]
) -> CounterMetricFamily:
    return _filled(CounterMetricFamily(name, meaning, labels=labels), values)


def histogram(name: str, meaning: str, found: Distribution) -> HistogramMetricFamily:
    return histograms(name, meaning, (), {(): found})


def histograms(
    name: str, meaning: str, labels: Labels, found: Mapping[Labels, Distribution]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, meaning, labels=labels)
    for given, distribution in found.items():
        family.add_metric(given, list(_buckets(distribution)), distribution.sum)
    return family


def _filled(family: F, values: Mapping[Labels, float]) -> F:
    for given, value in values.items():
        family.add_metric(given, value)
    return family


def _buckets(found: Distribution) -> Iterator[tuple[str, float]]:
    bounds = [*map(str, found.bounds), "+Inf"]
    yield from zip(bounds, found.counts(), strict=True)
