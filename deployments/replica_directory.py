"""Which replicas of each pool run, as Serve tells this process; one directory per process.

`NamedReplicaRouter` writes it on Serve's routing thread, the router deployment reads it and is told
of changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable


class ReplicaGone(Exception):
    """The replica that a call names ended before the call reached it."""


_lock = threading.Lock()
_running: dict[str, tuple[str, ...]] = {}
_listeners: list[Callable[[], None]] = []


def publish(deployment: str, replica_ids: Iterable[str]) -> None:
    """Sets the running replicas of a deployment and calls the listeners, on the caller's thread."""
    with _lock:
        _running[deployment] = tuple(sorted(replica_ids))
        listeners = tuple(_listeners)
    for listener in listeners:
        listener()


def running(deployment: str) -> tuple[str, ...]:
    """The ids of the replicas that run, sorted."""
    with _lock:
        return _running.get(deployment, ())


def on_change(listener: Callable[[], None]) -> None:
    """Calls `listener` after every change, on whatever thread it happens."""
    with _lock:
        _listeners.append(listener)
