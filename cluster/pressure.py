"""How good a tier the backlog of a pool allows: the level above which no range is served there.

The slack of those who wait says what this job may spend without harm to them. The level spares
something for those who have not come yet: the more waits, the less quality for each. In simulation
(docs/router.md) it is what keeps quality high, since each step down costs more quality than the one
before: equal levels for all beat the best tier for some and the least for others.
"""

from __future__ import annotations

from cluster.tiers import Tier

STRAINS = (0.0125, 0.025, 0.05, 0.6)
"""Above these strains the level is slow, medium, fast and ultra. Chosen in simulation among some
twenty sets for 2 to 32 replicas and loads of 1.2 to 1.85; see docs/router.md."""

OWN_PART = 1 / 8
"""How much of a job's own seconds counts beside the others', on a pool that is fully loaded."""

HYSTERESIS = 0.9
"""A better level comes back when the strain has fallen to this part of what took it away."""

MEMORY = 0.02
"""Weight of the newest job in the mean of the time that jobs have."""


class Pressure:
    """The level of one pool, and the time that its jobs usually have."""

    def __init__(self) -> None:
        self._patience_s: float | None = None
        self._rank = 0

    def served(self, patience_s: float) -> None:
        """Counts the time that a job had from its arrival to its deadline."""
        known_s = self._patience_s
        self._patience_s = (
            patience_s if known_s is None else known_s + MEMORY * (patience_s - known_s)
        )

    def level(self, drain_s: float, own_s: float, load: float) -> Tier:
        """The best tier for a job of `own_s` seconds while the pool needs `drain_s` for the others.

        `load` is the work that arrives over what the pool can do: on a pool that has nothing else
        to do, a job takes nothing from anybody. The strain is both together over the time that jobs
        usually have.
        """
        patience_s = self._patience_s
        harm_s = OWN_PART * min(1.0, load) * own_s
        strain = (drain_s + harm_s) / patience_s if patience_s else 0.0
        fallen = sum(strain > limit for limit in STRAINS)
        risen = sum(strain > HYSTERESIS * limit for limit in STRAINS)
        self._rank = max(fallen, min(self._rank, risen))
        return tuple(Tier)[self._rank]
