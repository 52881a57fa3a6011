"""How much of a budget a minute is used: it drains steadily, and a minute's worth fits in."""

from __future__ import annotations

MINUTE_S = 60.0

_ROUNDING = 1e-9
"""Part of a budget that counts as nothing."""


class UsageBucket:
    """The use that has not drained yet.

    What is larger than a whole minute's worth comes in only where nothing is used, and then the
    bucket is overfull until it has drained. So over any T seconds at most
    `max(per_minute, the largest amount) + per_minute * T / 60` come in.
    """

    def __init__(self, now_s: float) -> None:
        self._used = 0.0
        self._at_s = now_s
        self._per_minute = 1.0

    def wait_s(self, amount: float, per_minute: float, now_s: float) -> float:
        """Seconds until that amount may come in, if nothing else does; 0 for now."""
        if amount <= 0.0:
            return 0.0
        self._drain(per_minute, now_s)
        over = self._used - max(per_minute - amount, 0.0)
        return 0.0 if over <= _ROUNDING * per_minute else over * MINUTE_S / per_minute

    def take(self, amount: float, per_minute: float, now_s: float) -> None:
        """Uses that amount, whether it fits or not."""
        self._drain(per_minute, now_s)
        self._used += amount

    def give_back(self, amount: float, taken_s: float, now_s: float) -> None:
        """Takes back what was not done: as much of it as cannot have drained since `taken_s`.

        So the bucket never holds less than it would if the amount had not been taken.
        """
        self._drain(self._per_minute, now_s)
        drained = (now_s - taken_s) * self._per_minute / MINUTE_S
        self._used = max(0.0, self._used - max(0.0, amount - drained))

    def is_in_use(self, now_s: float) -> bool:
        self._drain(self._per_minute, now_s)
        return self._used > 0.0

    def _drain(self, per_minute: float, now_s: float) -> None:
        """Up to now, by the limit as it is now: a changed one counts from the last use on."""
        drained = (now_s - self._at_s) * per_minute / MINUTE_S
        self._used = max(0.0, self._used - drained)
        self._at_s, self._per_minute = now_s, per_minute
