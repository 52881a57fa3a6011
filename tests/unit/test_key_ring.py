"""How long a gateway goes by the keys that it has read."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from cluster.errors import ConfigError, KeysUnavailable
from cluster.keys import ApiKey, Scope
from deployments import key_ring
from deployments.key_ring import KeyRing
from deployments.key_store import new_key


class Store:
    """Keys that can be changed, slow or away; it counts how often it is read."""

    def __init__(self) -> None:
        _, key = new_key("ann", [Scope.GENERATE], datetime.now(UTC), None)
        self.keys: Mapping[str, ApiKey] = {key.id: key}
        self.is_away = False
        self.reads = 0
        self.open = threading.Event()
        self.open.set()

    def read(self) -> Mapping[str, ApiKey]:
        self.reads += 1
        self.open.wait(10)
        if self.is_away:
            raise ConfigError("the file is gone")
        return self.keys


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    for name, seconds in (("FRESH_S", 0.1), ("STALE_S", 0.5), ("PATIENCE_S", 0.05)):
        monkeypatch.setattr(key_ring, name, seconds)
    return Store()


def within_time(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work()

    asyncio.run(bounded())


def test_many_that_ask_at_once_read_once_and_a_change_is_seen_soon(store: Store) -> None:
    async def work() -> None:
        ring = KeyRing(store.read)
        asked = await asyncio.gather(*(ring.keys() for _ in range(50)))
        assert all(keys is store.keys for keys in asked)
        assert store.reads == 1
        store.keys = {}
        await asyncio.sleep(0.15)
        assert await ring.keys() == {}
        assert store.reads == 2

    within_time(work)


def test_a_store_that_is_away_is_done_without_for_a_while_and_then_nobody_is_let_in(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        ring = KeyRing(store.read)
        await ring.keys()
        store.is_away = True
        await asyncio.sleep(0.15)
        assert await ring.keys() == store.keys
        assert "API keys cannot be read: the file is gone" in caplog.text
        await asyncio.sleep(0.5)
        with pytest.raises(KeysUnavailable):
            await ring.keys()
        store.is_away = False
        await asyncio.sleep(0.15)
        assert await ring.keys() == store.keys

    within_time(work)


def test_a_store_that_hangs_holds_nobody_up_for_long(store: Store) -> None:
    async def work() -> None:
        ring = KeyRing(store.read)
        await ring.keys()
        await asyncio.sleep(0.15)
        store.open.clear()
        began_s = time.monotonic()
        for _ in range(20):
            assert await ring.keys() == store.keys
        assert time.monotonic() - began_s < 0.4
        assert store.reads == 2
        store.open.set()

    within_time(work)


def test_nobody_is_let_in_before_the_keys_were_read(store: Store) -> None:
    async def work() -> None:
        store.is_away = True
        with pytest.raises(KeysUnavailable) as refused:
            await KeyRing(store.read).keys()
        assert (refused.value.http_status, refused.value.retry_after_s) == (503, 0.1)

    within_time(work)
