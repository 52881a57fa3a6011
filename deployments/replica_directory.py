"""Which replicas of each pool run, as Serve tells this process; one directory per process.

`NamedReplicaRouter` writes it on Serve's routing thread, the router deployment reads it and is told
of changes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping


class ReplicaGone(Exception):
    """The replica that a call names ended before the call reached it."""


_lock = threading.Lock()
_running: dict[str, dict[str, str]] = {}
_listeners: list[tuple[asyncio.AbstractEventLoop, Callable[[], object]]] = []


def publish(deployment: str, actors: Mapping[str, str]) -> None:
    """Sets the running replicas of a deployment and has the listeners called.

    `actors` has the id of each replica's Ray actor, in hex, by the replica's id.
    """
    with _lock:
        _running[deployment] = dict(sorted(actors.items()))
        listeners = tuple(_listeners)
    for loop, listener in listeners:
        loop.call_soon_threadsafe(listener)


def running(deployment: str) -> tuple[str, ...]:
    """The ids of the replicas that run, sorted."""
    return tuple(actors(deployment))


def actors(deployment: str) -> dict[str, str]:
    """The ids of the actors of the replicas that run, by the replicas' ids."""
    with _lock:
        return dict(_running.get(deployment, {}))


def on_change(loop: asyncio.AbstractEventLoop, listener: Callable[[], object]) -> None:
    """Has `listener` called on that loop after every change, on whatever thread it happens."""
    with _lock:
        _listeners.append((loop, listener))
