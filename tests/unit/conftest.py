"""Hypothesis without a clock or chance: the same examples on every machine, however busy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "dit-serve",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("dit-serve")
