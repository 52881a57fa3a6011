"""The text that Prometheus scrapes: what the routers counted, and which of them answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Gauge, Info, generate_latest
from prometheus_client.metrics_core import Metric


class _Merged:
    """Metrics of several routers as one collector: each family once, with everybody's samples."""

    def __init__(self, parts: Iterable[Iterable[Metric]]) -> None:
        self._families: dict[str, Metric] = {}
        for part in parts:
            for metric in part:
                known = self._families.setdefault(metric.name, metric)
                if known is not metric:
                    known.samples.extend(metric.samples)

    def collect(self) -> Iterator[Metric]:
        yield from self._families.values()


def metrics_text(models: Iterable[str], told: Mapping[str, Iterable[Metric]]) -> bytes:
    """The text for the served models; `told` has what their routers counted, of those that answer.

    Every gateway gives the same, but for who answered it.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(told.values()))
    answered = Gauge(
        "dit_serve_router_up",
        "1 if the model's router answered this scrape, else 0",
        ["model"],
        registry=registry,
    )
    for model in models:
        answered.labels(model).set(model in told)
    Info("dit_serve_build", "The version that runs", registry=registry).info(
        {"version": version("dit-serve")}
    )
    return generate_latest(registry)
