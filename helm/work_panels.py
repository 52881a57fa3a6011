"""Panels of the work and who does it: tiers, quality, replicas."""

from __future__ import annotations

from helm.grafana import Panel, Query, Row
from helm.promql import gauge, last_hour, mean, quantile, rate, ratio, total

_POOL = ("model", "pool")
_SERIES = ("model", "pool", "tier")
_NAME = "{{model}}/{{pool}}"
_TIER = "{{model}}/{{pool}} {{tier}}"

OFF = 1.5
"""A forecast that is off by this factor is marked; the alert rule says the same."""


def tiers() -> Row:
    served = rate("tier_served_total", "model", "requested", "served")
    steps = rate("steps_total", *_SERIES, "kind")
    cached = rate("steps_total", *_SERIES, "kind", only='kind="cached"')
    cached_part = ratio(total("model, tier", cached), total("model, tier", steps))
    stages = mean("stage_seconds", "model, tier, stage", *_SERIES, "stage")
    return Row(
        "Tiers and work",
        [
            Panel(
                "Tier asked for and served",
                "What callers asked for, and what the router chose. From auto any tier may follow; "
                "under load it falls.",
                [
                    Query(
                        total("model, requested, served", served),
                        "{{model}} {{requested}} → {{served}}",
                    )
                ],
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Steps",
                "Denoising steps per second: computed by the transformer, or taken from the cache.",
                [Query(total("model, tier, kind", steps), "{{model}} {{tier}} {{kind}}")],
                unit="ops",
                stacked=True,
            ),
            Panel(
                "Cached part of the steps",
                "Of all steps of a tier, those that were not computed. It falls where requests "
                "have so few steps that the cache has no time to work.",
                [Query(cached_part, "{{model}} {{tier}}")],
                unit="percentunit",
                most=1.0,
            ),
            Panel(
                "Stages",
                "Mean seconds of a served request in each stage: the text encoders; the denoising "
                "steps; the autoencoder, with the writing of files.",
                [Query(stages, "{{model}} {{tier}} {{stage}}")],
                unit="s",
                width=12,
            ),
            Panel(
                "Measured over forecast",
                "Seconds that a job kept its replica, over those that were forecast: the median, "
                "and the worst of twenty. Order, promises and tiers go by it; 1 is right.",
                [
                    Query(
                        quantile(part, "forecast_error_ratio", "model, pool, tier", *_SERIES),
                        f"{_TIER} p{part * 100:.0f}",
                    )
                    for part in (0.5, 0.95)
                ],
                unit="none",
                width=12,
                steps=((None, "red"), (round(1 / OFF, 2), "green"), (OFF, "red")),
            ),
        ],
    )


def quality() -> Row:
    age = f"time() - {gauge('last_audit_timestamp_seconds', *_SERIES)}"
    return Row(
        "Quality, by audits",
        [
            Panel(
                "PSNR against none",
                "How near audited pictures are to the same made at none, a running mean; more is "
                "nearer. Dashed: the tier's contract, min_psnr_db.",
                [
                    Query(gauge("tier_psnr_db", *_SERIES), _TIER),
                    Query(gauge("tier_min_psnr_db", *_SERIES), f"{_TIER} contract"),
                ],
                unit="suffix:dB",
                dashed="contract$",
                least=None,
            ),
            Panel(
                "Speed-up over none",
                "How many times as fast as none the engine made audited requests, a running mean. "
                "Dashed: the tier's contract, min_speedup.",
                [
                    Query(gauge("tier_speedup", *_SERIES), _TIER),
                    Query(gauge("tier_min_speedup", *_SERIES), f"{_TIER} contract"),
                ],
                unit="suffix:×",
                dashed="contract$",
            ),
            Panel(
                "Since the last audit",
                "Seconds since a served request was last made again at none. Audits run only while "
                "nobody waits.",
                [Query(age, _TIER)],
                unit="s",
                width=4,
            ),
            Panel(
                "Audits",
                "Requests of a tier that were made again at none, in the hour before.",
                [Query(last_hour("audits_total", *_SERIES), _TIER)],
                width=4,
            ),
        ],
    )


def replicas() -> Row:
    return Row(
        "Replicas",
        [
            Panel(
                "Replicas by state",
                "Replicas that work and that have nothing to do. Dashed: the least and the most "
                "that the config allows.",
                [
                    Query(gauge("replicas", *_POOL, "state"), f"{_NAME} {{{{state}}}}"),
                    Query(gauge("replicas_min", *_POOL), f"{_NAME} least"),
                    Query(gauge("replicas_max", *_POOL), f"{_NAME} most"),
                ],
                width=6,
                stacked=True,
                dashed="(least|most)$",
            ),
            Panel(
                "Ranks",
                "Rank processes that run: replicas times the ranks of each.",
                [Query(gauge("ranks", *_POOL), _NAME)],
                width=6,
            ),
            Panel(
                "Starts and deaths",
                "Replicas that began to take requests, and that ended without having been told to, "
                "in the hour before. Scaling and redeploying give starts, but no deaths. Refused "
                "are results that could not be right, and were not sent.",
                [
                    Query(last_hour("replica_starts_total", *_POOL), f"{_NAME} starts"),
                    Query(last_hour("replica_deaths_total", *_POOL), f"{_NAME} deaths"),
                    Query(last_hour("outputs_refused_total", *_SERIES), f"{_TIER} refused"),
                ],
                width=6,
            ),
            Panel(
                "Device memory",
                "What the fullest rank of the last job held of its card at its peak, and what the "
                "card has. For pools on CPU: of the process, and of the machine.",
                [
                    Query(
                        gauge("device_memory_bytes", *_POOL, "kind"),
                        f"{_NAME} {{{{kind}}}}",
                    )
                ],
                unit="bytes",
                width=6,
                dashed="total$",
            ),
        ],
    )
