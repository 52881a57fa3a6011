"""Stand-ins for Serve's handles and for Ray's references, which answer as a test says."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from ray.exceptions import ActorDiedError, ObjectLostError

from cluster.errors import DitServeError
from cluster.job import Job
from cluster.progress import Progress, Seen
from cluster.receipt import Stored
from deployments.job_progress import Watched
from deployments.served import Served
from tests.unit.receipts import receipt

SOON_S = 10.0
Answering = Callable[..., Coroutine[Any, Any, Any]]


class Response:
    """Serve's: awaited for the answer, and cancelled by word."""

    def __init__(self, answer: Coroutine[Any, Any, Any]) -> None:
        self._answer = asyncio.ensure_future(answer)
        self.cancelled = False

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answer.__await__()

    def cancel(self) -> None:
        self.cancelled = True
        self._answer.cancel()


class Method:
    """One method of a handle; its calls and their responses."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.calls: list[tuple[Any, ...]] = []
        self.responses: list[Response] = []
        self.contexts: list[dict[Any, Any]] = []

    def remote(self, *args: Any) -> Response:
        self.calls.append(args)
        self.contexts.append(dict(contextvars.copy_context()))
        self.responses.append(Response(self._answering(*args)))
        return self.responses[-1]


class Router:
    """A handle. `generate` gives one of `answers` after the other, `watch` one of `news`."""

    def __init__(
        self, *answers: Any, news: tuple[Watched | Exception | None, ...] = (), open: bool = True
    ) -> None:
        self._answers, self._news = list(answers), list(news)
        self.open = asyncio.Event()
        if open:
            self.open.set()
        self.generate = Method(self._generate)
        self.watch = Method(self._watch)
        self.reserve = self.release = Method(self._generate)

    async def _generate(self, asked: Job) -> Any:
        await self.open.wait()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception) and not isinstance(answer, DitServeError):
            raise answer
        return answer

    async def _watch(self, request_id: str, seen: Seen) -> Watched | None:
        if not self._news:
            self.open.set()
            await asyncio.sleep(SOON_S)
        news = self._news.pop(0)
        if isinstance(news, Exception):
            raise news
        return news


NEVER = object()
"""Of a node that does not answer: a file does not come, and nobody says why."""


class Reference:
    """What Ray calls an object reference: a file, the reason why it is lost, or `NEVER`."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, Any]:
        yield from asyncio.sleep(60 if self._value is NEVER else 0).__await__()
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


def served(images: Any = (b"picture",), stored: tuple[Stored, ...] = ()) -> Served:
    return Served(receipt(), Reference(images), stored)  # type: ignore[arg-type]


def running(done: int, *previews: Any) -> Watched:
    return Watched(Progress("running", done, 0), tuple(map(Reference, previews)))  # type: ignore[arg-type]


def died() -> ActorDiedError:
    return ActorDiedError()


def lost_with(kind: type[ObjectLostError]) -> ObjectLostError:
    return kind("0", None, "")
