"""The progress of a job for those who watch it: noted on the engine's thread, awaited on a loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import ray

from cluster.progress import Progress, Seen


@dataclass(frozen=True)
class Watched:
    """What is new of a job: its progress, and the previews that the watcher has not seen.

    The previews are references, so that a router never holds them.
    """

    progress: Progress
    previews: tuple[ray.ObjectRef[bytes], ...] = ()


class JobProgress:
    """What a running job has shown so far."""

    def __init__(self, steps: int, loop: asyncio.AbstractEventLoop) -> None:
        """`steps` are those of all pictures of the job."""
        self._steps = steps
        self._loop = loop
        self._done = 0
        self._previews: list[ray.ObjectRef[bytes]] = []
        self._over = False
        self._changed = asyncio.Event()

    def stepped(self, done: int) -> None:
        """Notes a step boundary, from any thread."""
        if done != self._done:
            self._done = done
            self._loop.call_soon_threadsafe(self._wake)

    def add_preview(self, file: bytes) -> None:
        """Notes a preview, from any thread."""
        self._previews.append(ray.put(file))
        self._loop.call_soon_threadsafe(self._wake)

    async def beyond(self, seen: Seen, wait_s: float) -> Watched:
        """What is there beyond what was seen, as soon as there is something or `wait_s` is over."""
        try:
            async with asyncio.timeout(wait_s):
                while not self._over and not self._is_beyond(seen):
                    await self._changed.wait()
        except TimeoutError:
            pass
        progress = Progress("running", self._done, self._steps)
        return Watched(progress, tuple(self._previews[seen.previews :]))

    def end(self) -> None:
        """Lets go of everybody who waits for more: the job is over. Called on the loop."""
        self._over = True
        self._wake()

    def _is_beyond(self, seen: Seen) -> bool:
        return self._done > seen.steps_done or len(self._previews) > seen.previews

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
