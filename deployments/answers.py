"""What a router owes its callers: one answer for each job that somebody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from deployments.served import RouterAnswer


@dataclass(eq=False)
class _Owed:
    answer: asyncio.Future[RouterAnswer]
    caller: asyncio.Task[object] | None = None


class Answers:
    """By the jobs' ids. A job whose caller has left is not here, though it may still run."""

    def __init__(self) -> None:
        self._owed: dict[str, _Owed] = {}

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._owed

    def owe(self, request_id: str) -> asyncio.Future[RouterAnswer]:
        """An answer to be given; it is done when it was given, or the caller has left."""
        answer: asyncio.Future[RouterAnswer] = asyncio.get_running_loop().create_future()
        owed = self._owed[request_id] = _Owed(answer)
        answer.add_done_callback(lambda _: self._forget(request_id, owed))
        return answer

    def get(self, request_id: str) -> asyncio.Future[RouterAnswer] | None:
        owed = self._owed.get(request_id)
        return None if owed is None else owed.answer

    def give(self, request_id: str, answer: RouterAnswer) -> None:
        """Tells those who wait, if anybody does."""
        owed = self._owed.get(request_id)
        if owed is not None and not owed.answer.done():
            owed.answer.set_result(answer)

    async def wait(self, request_id: str, left: Callable[[], None]) -> RouterAnswer:
        """The answer that is owed. When the last caller leaves, it is owed no more: `left` is told.

        Callers before the last have died, or think so themselves: when they leave, nothing ends.
        """
        owed = self._owed[request_id]
        caller = owed.caller = asyncio.current_task()
        try:
            return await asyncio.shield(owed.answer)
        except asyncio.CancelledError:
            if owed.caller is caller and self._owed.get(request_id) is owed:
                self._forget(request_id, owed)
                owed.answer.cancel()
                left()
            raise

    def _forget(self, request_id: str, owed: _Owed) -> None:
        """Lets go of an answer, but not of the next one to the same job."""
        if self._owed.get(request_id) is owed:
            del self._owed[request_id]
