"""The keys as a gateway knows them: read again every few seconds, and never from a request's path.

What a request brings decides nothing about what is read, so that wrong keys cost no database call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from cluster.errors import ConfigError, JobStoreUnavailable, KeysUnavailable
from cluster.keys import ApiKey

logger = logging.getLogger("ray.serve")

FRESH_S = 2.0
"""Keys that were read so lately are used as they are: so long a revoked key may still work."""

STALE_S = 30.0
"""While the store does not answer, keys that were read are used so long, and then none is."""

PATIENCE_S = 1.0
"""How long the store is waited for, by all that ask meanwhile."""


class KeyRing:
    """All keys of a store, by their ids. It belongs to one event loop."""

    def __init__(self, read: Callable[[], Mapping[str, ApiKey]]) -> None:
        """`read` may block; it raises `ConfigError` or `JobStoreUnavailable`."""
        self._read = read
        self._keys: Mapping[str, ApiKey] = {}
        self._read_s = self._asked_s = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        # Of its own: where the database hangs, calls about videos fill the threads of all.
        self._thread = ThreadPoolExecutor(1, "api-keys")

    async def keys(self) -> Mapping[str, ApiKey]:
        """The keys as they were at most `FRESH_S` ago, or `STALE_S` if the store does not answer.

        Raises:
            KeysUnavailable: it has not answered for so long.
        """
        if time.monotonic() - self._asked_s > FRESH_S and self._reading is None:
            self._asked_s = time.monotonic()
            self._reading = asyncio.ensure_future(self._renew(self._asked_s))
        if self._reading is not None:
            left_s = self._asked_s + PATIENCE_S - time.monotonic()
            await asyncio.wait({self._reading}, timeout=max(0.0, left_s))
        if time.monotonic() - self._read_s > STALE_S:
            raise KeysUnavailable(
                "API keys cannot be looked up now; try again", retry_after_s=FRESH_S
            )
        return self._keys

    async def _renew(self, now_s: float) -> None:
        try:
            loop = asyncio.get_running_loop()
            self._keys = await loop.run_in_executor(self._thread, self._read)
            self._read_s = now_s
        except (ConfigError, JobStoreUnavailable) as error:
            logger.error("API keys cannot be read: %s", error)
        finally:
            self._reading = None
