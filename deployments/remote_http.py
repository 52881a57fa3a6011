"""HTTP with a running dit-serve server: its answers as values, its faults as one sentence each."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

CONNECT_S = 10.0

SILENCE_S = 120.0
"""A server tells how a request is getting on every few seconds."""

PATIENCE_S = 60.0
"""So long a server that is gone is asked again, where asking twice does no harm."""

AGAIN_S = 0.5

GONE_FOR_NOW = (502, 503, 504)
"""What a server, or the load balancer before it, answers while something is being replaced."""

Shape = TypeVar("Shape", bound=BaseModel)


class RemoteError(Exception):
    """The server said no, or could not be asked: one sentence."""


class Fault(BaseModel):
    """What is wrong, in OpenAI's envelope."""

    message: str


class _Envelope(BaseModel):
    error: Fault


class RemoteHttp:
    """A server at an address. Every method raises `RemoteError`."""

    def __init__(self, url: str, api_key: str | None) -> None:
        """`api_key` is sent as a bearer token.

        Raises:
            ValueError: it is no such address.
        """
        self.url = checked_url(url)
        self._client = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx2.Timeout(SILENCE_S, connect=CONNECT_S),
        )

    def close(self) -> None:
        self._client.close()

    def once(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """The answer, asked for once."""
        with self._faults_told():
            return self._checked(self._client.request(method, path, **request))

    def patiently(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """The answer to what may be asked twice; a server that is gone is waited for a while."""
        give_up_s = time.monotonic() + PATIENCE_S
        with self._faults_told():
            while True:
                try:
                    answer = self._client.request(method, path, **request)
                except httpx2.TransportError:
                    if time.monotonic() > give_up_s:
                        raise
                else:
                    if answer.status_code not in GONE_FOR_NOW or time.monotonic() > give_up_s:
                        return self._checked(answer)
                time.sleep(AGAIN_S)

    def events(
        self, method: str, path: str, **request: Any
    ) -> Generator[httpx2.ServerSentEvent, None, None]:
        """The events of a stream that is answered; closing the iterator hangs up."""
        with (
            self._faults_told(),
            self._client.sse(path, method=method, max_event_size=None, **request) as source,
        ):
            if not source.response.is_success:
                source.response.read()
            self._checked(source.response)
            yield from source

    def read(self, shape: type[Shape], data: str | bytes) -> Shape:
        """JSON of the server in the shape that it should have."""
        try:
            return shape.model_validate_json(data)
        except ValidationError as error:
            raise RemoteError(f"{self.url} does not answer as dit-serve does") from error

    def refusal(self, data: str) -> RemoteError:
        """The error in an event that says why there will be no result."""
        return RemoteError(self.read(_Envelope, data).error.message)

    def _checked(self, answer: httpx2.Response) -> httpx2.Response:
        """The answer, if it is not an error; one has the server's own sentence, if it has any."""
        if answer.is_success:
            return answer
        try:
            raise RemoteError(_Envelope.model_validate_json(answer.content).error.message)
        except ValidationError as error:
            status = f"{answer.status_code} {answer.reason_phrase}".rstrip()
            raise RemoteError(f"{answer.request.url} answers {status}") from error

    @contextmanager
    def _faults_told(self) -> Iterator[None]:
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise RemoteError(f"no server answers at {self.url}: {error}") from error
        except httpx2.TimeoutException as error:
            raise RemoteError(f"{self.url} has said nothing for {SILENCE_S:g} s") from error
        except httpx2.RequestError as error:
            raise RemoteError(f"the connection to {self.url} broke: {error}") from error


def checked_url(url: str) -> str:
    """The address without a slash at its end; raises `ValueError`."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"{url!r} is no address: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is no address such as http://127.0.0.1:8000")
    return url.rstrip("/")
