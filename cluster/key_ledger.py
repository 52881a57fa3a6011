"""What each key uses of one model, and whether its limits let one more request in.

Pure: the time enters as an argument, in seconds of any clock that does not go back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from cluster.errors import DitServeError, LimitReached, NoReplica, QueueFull
from cluster.job import Job
from cluster.key_limits import GPU_SECONDS, IN_FLIGHT, REQUESTS
from cluster.usage_bucket import UsageBucket

RESERVED_S = 60.0
"""How long a video counts that the router does not have: it waits for a gateway to send it, again
where the line was full. A gateway that dies is missed within ten seconds."""

LOOK_S = 60.0
"""How often keys that use nothing are looked for, to be forgotten."""

SOON_S = 1.0
"""When to ask again where nothing tells when a request will end."""


@dataclass(frozen=True)
class Refused:
    """`limit` is the name of the limit that lets the request in last."""

    limit: str
    error: LimitReached


@dataclass(frozen=True)
class _Held:
    """A request in flight; `until_s` is None while the router has it, `ends_s` until it runs."""

    tier: str
    gpu_seconds: float
    taken_s: float
    until_s: float | None
    reserved: bool
    ends_s: float | None = None


@dataclass
class _Account:
    """What a key uses: its requests in flight by their ids, and its buckets by their limits."""

    held: dict[str, _Held] = field(default_factory=dict)
    buckets: dict[str, UsageBucket] = field(default_factory=dict)


class KeyLedger:
    """The accounts of the keys that use something. Requests without a key are not counted."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._accounts: dict[str, _Account] = {}
        self._looked_s = float("-inf")

    def __len__(self) -> int:
        """How many keys it knows of."""
        return len(self._accounts)

    def refusal(self, job: Job, gpu_seconds: float, now_s: float) -> Refused | None:
        """Why the job may not come in now; it takes nothing.

        A job that is in flight already, or is sent again after a router died, may.
        """
        self._forget(now_s)
        account = self._accounts.get(job.key_id, _Account())
        self._lapse(account, now_s)
        if job.limits is None or job.attempt > 1 or job.request_id in account.held:
            return None
        waits = list(self._waits(account, job, gpu_seconds, now_s))
        if not waits:
            return None
        wait_s, limit, sentence = max(waits)
        message = f"{limit}: this key {sentence}; try again in {math.ceil(wait_s)} s"
        return Refused(limit, LimitReached(message, retry_after_s=wait_s))

    def take(self, job: Job, gpu_seconds: float, now_s: float, *, reserve: bool = False) -> None:
        """Counts a job that came in; one that is in flight already counts no more than before.

        With `reserve` it is a video, whose job comes later.
        """
        if not job.key_id:
            return
        account = self._accounts.setdefault(job.key_id, _Account())
        known = account.held.get(job.request_id)
        until_s = now_s + RESERVED_S if reserve else None
        if known is not None:
            account.held[job.request_id] = replace(known, until_s=until_s)
            return
        account.held[job.request_id] = _Held(
            job.tier_requested, gpu_seconds, now_s, until_s, reserve
        )
        for name, amount, per_minute in _asked(job, gpu_seconds):
            account.buckets.setdefault(name, UsageBucket(now_s)).take(amount, per_minute, now_s)

    def began(self, job: Job, ends_s: float) -> None:
        """A replica has the job, and is forecast to be done with it then."""
        account = self._accounts.get(job.key_id)
        if account is not None and (held := account.held.get(job.request_id)):
            account.held[job.request_id] = replace(held, ends_s=ends_s)

    def ended(self, job: Job, now_s: float, error: DitServeError | None = None) -> None:
        """The job is in flight no more. If it never ran, its GPU-seconds come back.

        A video that found no room in the line is sent again, so it stays.
        """
        account = self._accounts.get(job.key_id)
        if account is None or (held := account.held.get(job.request_id)) is None:
            return
        if held.reserved and isinstance(error, QueueFull | NoReplica):
            account.held[job.request_id] = replace(held, until_s=now_s + RESERVED_S)
        else:
            self._drop(account, job.request_id, now_s)

    def _waits(
        self, account: _Account, job: Job, gpu_seconds: float, now_s: float
    ) -> Iterator[tuple[float, str, str]]:
        """Of each limit that is in the way: the seconds until it is not, its name, a sentence."""
        assert job.limits is not None
        for prefix, limits in job.limits.over(job.tier_requested):
            held = [
                each
                for each in account.held.values()
                if not prefix or each.tier == job.tier_requested
            ]
            if limits.in_flight is not None and len(held) >= limits.in_flight:
                ends_s = [each.ends_s for each in held if each.ends_s is not None]
                wait_s = max(SOON_S, min(ends_s, default=now_s) - now_s)
                said = f"has {len(held)} in flight with {self._model}"
                yield wait_s, f"{prefix}{IN_FLIGHT}", f"{said}, and {limits.in_flight} is the most"
        for name, amount, per_minute in _asked(job, gpu_seconds):
            bucket = account.buckets.get(name, UsageBucket(now_s))
            if wait_s := bucket.wait_s(amount, per_minute, now_s):
                yield wait_s, name, self._said(name, amount, per_minute)

    def _said(self, name: str, amount: float, per_minute: float) -> str:
        if name.endswith(REQUESTS):
            return f"may send {per_minute:g} requests a minute to {self._model}"
        return (
            f"may use {per_minute:g} GPU-seconds a minute of {self._model}, and this request is "
            f"forecast to take {amount:.3g}"
        )

    def _lapse(self, account: _Account, now_s: float) -> None:
        late = [
            request_id
            for request_id, held in account.held.items()
            if held.until_s is not None and held.until_s <= now_s
        ]
        for request_id in late:
            self._drop(account, request_id, now_s)

    def _drop(self, account: _Account, request_id: str, now_s: float) -> None:
        held = account.held.pop(request_id)
        if held.ends_s is None:
            for prefix in ("", f"tiers.{held.tier}."):
                if bucket := account.buckets.get(f"{prefix}{GPU_SECONDS}"):
                    bucket.give_back(held.gpu_seconds, held.taken_s, now_s)

    def _forget(self, now_s: float) -> None:
        """Drops the accounts that are as good as new, so that memory is bounded by what is used."""
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        for account in self._accounts.values():
            self._lapse(account, now_s)
        self._accounts = {
            key_id: account
            for key_id, account in self._accounts.items()
            if account.held or any(each.is_in_use(now_s) for each in account.buckets.values())
        }


def _asked(job: Job, gpu_seconds: float) -> Iterator[tuple[str, float, float]]:
    """What a job takes of each limit a minute: its name, the amount, and the limit."""
    if job.limits is not None:
        for prefix, limits in job.limits.over(job.tier_requested):
            for name, per_minute in limits.per_minute():
                yield f"{prefix}{name}", 1.0 if name == REQUESTS else gpu_seconds, per_minute
