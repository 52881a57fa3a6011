"""Expressions in PromQL over dit-serve's metrics, for one choice of the dashboard's variables.

Every gateway exports the same numbers, so each expression takes every series once (`max by`)
before it sums. `$__rate_interval` and `$__range` are Grafana's.
"""

from __future__ import annotations

MODEL = 'namespace=~"$namespace", model=~"$model"'
POOL = MODEL + ', pool=~"$pool"'


def gauge(metric: str, *labels: str) -> str:
    """A gauge for each combination of labels."""
    return f"max by ({_by(labels)}) (dit_serve_{metric}{{{_where(labels)}}})"


def rate(metric: str, *labels: str, only: str = "", window: str = "$__rate_interval") -> str:
    """A counter's growth per second for each combination of labels; `only` selects more."""
    where = ", ".join(filter(None, (_where(labels), only)))
    return f"max by ({_by(labels)}) (rate(dit_serve_{metric}{{{where}}}[{window}]))"


def last_hour(metric: str, *labels: str) -> str:
    """A counter's growth in the hour before."""
    return f"max by ({_by(labels)}) (increase(dit_serve_{metric}{{{_where(labels)}}}[1h]))"


def total(labels: str, expr: str) -> str:
    """The sum over all other labels."""
    return f"sum by ({labels}) ({expr})"


def ratio(above: str, below: str) -> str:
    """Nothing, rather than NaN, where nothing is counted."""
    return f"{above} / ({below} > 0)"


def quantile(part: float, metric: str, labels: str, *series: str) -> str:
    """A quantile of a histogram with these labels, over the series of it."""
    buckets = total(f"{labels}, le", rate(f"{metric}_bucket", *series, "le"))
    return f"histogram_quantile({part}, {buckets})"


def mean(metric: str, labels: str, *series: str) -> str:
    """The mean of a histogram with these labels, over the series of it."""
    above, below = (total(labels, rate(f"{metric}_{part}", *series)) for part in ("sum", "count"))
    return ratio(above, below)


def _where(labels: tuple[str, ...]) -> str:
    return POOL if "pool" in labels else MODEL


def _by(labels: tuple[str, ...]) -> str:
    return ", ".join(("namespace", *labels))
