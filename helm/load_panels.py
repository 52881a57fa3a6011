"""Panels of what comes and how long it takes: now, requests, the line and its deadlines."""

from __future__ import annotations

from helm.grafana import Panel, Query, Row
from helm.promql import gauge, quantile, rate, ratio, total

TARGET = 0.99
"""Part of the deadlines that is to be kept; the alert rules say the same."""

_SERIES = ("model", "pool", "tier")
_RED_BELOW_1 = ((None, "red"), (1.0, "green"))


def now() -> Row:
    ok = rate("requests_total", *_SERIES, "outcome", only='outcome="ok"')
    replicas = total("model", gauge("replicas", "model", "pool", "state"))
    return Row(
        "Now",
        [
            Panel(
                "Served",
                "Requests that were answered with pictures or a clip, per second.",
                [Query(total("model", ok), "{{model}}")],
                unit="reqps",
                width=4,
                now=True,
            ),
            Panel(
                "Deadlines kept",
                "Part of the requests with a deadline that were done in time, over the range "
                "shown.",
                [Query(_kept("$__range"), "{{model}}")],
                unit="percentunit",
                width=4,
                now=True,
                most=1.0,
                steps=((None, "red"), (0.95, "orange"), (TARGET, "green")),
            ),
            Panel(
                "Waiting",
                "Requests in the model's line. None waits in a replica.",
                [Query(gauge("queue_requests", "model"), "{{model}}")],
                width=4,
                now=True,
            ),
            Panel(
                "Replicas",
                "Replicas that run, idle or busy.",
                [Query(replicas, "{{model}}")],
                width=4,
                now=True,
                steps=_RED_BELOW_1,
            ),
            Panel(
                "Router",
                "1 if the model's router answers. Serve replaces one that has died.",
                [Query(gauge("router_up", "model"), "{{model}}")],
                width=4,
                now=True,
                steps=_RED_BELOW_1,
            ),
            Panel(
                "Version",
                "The versions that run: two while one replaces the other.",
                [Query("max by (version) (dit_serve_build_info)", "{{version}}")],
                width=4,
                now=True,
            ),
        ],
    )


def requests() -> Row:
    outcomes = total("model, outcome", rate("requests_total", *_SERIES, "outcome"))
    by_tier = quantile(0.95, "request_seconds", "model, tier", *_SERIES)
    limited = total("model, limit", rate("requests_limited_total", "model", "limit"))
    return Row(
        "Requests",
        [
            Panel(
                "Requests by outcome",
                "How requests ended: ok, cancelled by the caller, or the code of the error. "
                "queue_full and deadline_out_of_reach are refusals.",
                [Query(outcomes, "{{model}} {{outcome}}")],
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Latency",
                "Seconds from the router's door to the result, waiting included, "
                "of requests that were served.",
                _quantiles((0.5, 0.95, 0.99), "request_seconds", *_SERIES),
                unit="s",
            ),
            Panel(
                "Latency by tier, p95",
                "95 of 100 requests of a tier took no longer, waiting included.",
                [Query(by_tier, "{{model}} {{tier}}")],
                unit="s",
            ),
            Panel(
                "Refused by a key's limits",
                "Requests whose key had used what it may of the model, by the limit that says so. "
                "They wait nowhere, and count in none of the panels of the line.",
                [Query(limited, "{{model}} {{limit}}")],
                unit="reqps",
                stacked=True,
                width=24,
            ),
        ],
    )


def line() -> Row:
    return Row(
        "Line and deadlines",
        [
            Panel(
                "Requests that wait",
                "The length of the line. At the limit, max_queued, requests are refused with "
                "queue_full.",
                [
                    Query(gauge("queue_requests", "model"), "{{model}}"),
                    Query(gauge("queue_limit", "model"), "{{model}} limit"),
                ],
                width=6,
                dashed="limit$",
            ),
            Panel(
                "Backlog",
                "Forecast seconds that a pool's replicas need for all that waits and runs. Above "
                "the limit, max_backlog_s, requests are refused with queue_full.",
                [
                    Query(gauge("backlog_seconds", "model", "pool"), "{{model}}/{{pool}}"),
                    Query(gauge("backlog_limit_seconds", "model"), "{{model}} limit"),
                ],
                unit="s",
                width=6,
                dashed="limit$",
            ),
            Panel(
                "Time in line",
                "Seconds that served requests waited for a replica.",
                _quantiles((0.5, 0.95), "queue_seconds", "model"),
                unit="s",
                width=6,
            ),
            Panel(
                "Deadlines kept",
                "Part of the requests with a deadline that were done in time; refused ones count "
                f"neither way. Wanted are {TARGET:.0%}: below, the alerts count how fast the "
                "misses that are allowed are used up.",
                [Query(_kept("$__rate_interval"), "{{model}}")],
                unit="percentunit",
                width=6,
                most=1.0,
                steps=((None, "red"), (TARGET, "green")),
            ),
        ],
    )


def _kept(window: str) -> str:
    kept, all_ = (
        total("model", rate("deadline_total", "model", "met", only=only, window=window))
        for only in ('met="true"', "")
    )
    return ratio(kept, all_)


def _quantiles(parts: tuple[float, ...], metric: str, *series: str) -> list[Query]:
    return [
        Query(quantile(part, metric, "model", *series), f"{{{{model}}}} p{part * 100:.0f}")
        for part in parts
    ]
