"""Pictures and clips from a running server: pictures from a stream, clips as jobs."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import BaseModel

from cluster.receipt import Receipt
from cluster.tasks import Task
from cluster.tiers import Tier
from deployments.remote_http import CONNECT_S, Fault, RemoteError, RemoteHttp

POLL_S = 0.5

Told = Callable[[str, float], None]
"""Where the work is, in words and as a share of 1."""


class RemoteModel(BaseModel):
    """A model that the server has."""

    id: str
    tasks: tuple[str, ...]
    tiers: tuple[Tier, ...]

    @property
    def makes_videos(self) -> bool:
        return any(task in (Task.TEXT_TO_VIDEO, Task.IMAGE_TO_VIDEO) for task in self.tasks)


@dataclass(frozen=True)
class Order:
    """What is asked for: fields of the API, and whole files of pictures to begin from."""

    fields: Mapping[str, str | int | float]
    images: tuple[bytes, ...] = ()
    mask: bytes | None = None

    def with_field(self, name: str, value: str) -> Order:
        return replace(self, fields={**self.fields, name: value})

    def body(self, *, image_field: str, **more: Any) -> dict[str, Any]:
        """What httpx2 sends: JSON, or a form where there are files."""
        fields = {**self.fields, **more}
        files = [(image_field, ("image", image)) for image in self.images]
        if self.mask is not None:
            files.append(("mask", ("mask", self.mask)))
        if not files:
            return {"json": fields}
        text = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in fields.items()
        }
        return {"data": text, "files": files}


@dataclass(frozen=True)
class Delivery:
    """Whole files, what their names end in, and the receipt of all of them."""

    files: tuple[bytes, ...]
    suffix: str
    receipt: Receipt


class RemoteServer:
    """A server at an address. Its methods raise `RemoteError`; an interrupt stops its work."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        """`url` is where its page is, `api_key` a bearer token; raises `ValueError`."""
        self._http = RemoteHttp(url, api_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def model(self, name: str | None) -> RemoteModel:
        """The model of that name; the server's first where none is given."""
        models = self._http.read(_Models, self._http.once("GET", "/v1/models").content).data
        for model in models:
            if name in (None, model.id):
                return model
        names = ", ".join(model.id for model in models)
        raise RemoteError(f"no model {name!r} at {self._http.url}; the models are {names}")

    def make(self, model: RemoteModel, order: Order, told: Told) -> Delivery:
        """What that model makes, a clip or pictures."""
        order = order.with_field("model", model.id)
        return self._clip(order, told) if model.makes_videos else self._pictures(order, told)

    def _pictures(self, order: Order, told: Told) -> Delivery:
        """Pictures from a stream; leaving it hangs up, which stops the work."""
        path = "/v1/images/edits" if order.images else "/v1/images/generations"
        body = order.body(image_field="image[]", stream=True)
        found: list[_Picture] = []
        with closing(self._http.events("POST", path, **body)) as events:
            for each in events:
                match each.event.rpartition(".")[2]:
                    case "progress":
                        told(*self._http.read(_Progress, each.data).where)
                    case "completed":
                        found.append(self._http.read(_Picture, each.data))
                    case "error":
                        raise self._http.refusal(each.data)
        if not found:
            raise RemoteError(f"{self._http.url} ended the stream before there was a picture")
        files = tuple(base64.b64decode(picture.b64_json) for picture in found)
        return Delivery(files, found[0].output_format, self._receipt(found[0].receipt))

    def _clip(self, order: Order, told: Told) -> Delivery:
        """A clip, made as a job; an interrupt cancels it."""
        video = self._new_video(order)
        try:
            while video.status in ("queued", "in_progress"):
                told(*video.where)
                time.sleep(POLL_S)
                video = self._video("GET", f"/v1/videos/{video.id}")
            if video.status != "completed" or video.receipt is None:
                raise RemoteError(video.error.message if video.error else f"it was {video.status}")
            file = self._http.patiently("GET", f"/v1/videos/{video.id}/content").content
        except RemoteError as error:
            raise RemoteError(f"{video.id}: {error}") from error
        except KeyboardInterrupt:
            self._cancel(video.id)
            raise
        return Delivery((file,), "mp4", self._receipt(video.receipt))

    def _new_video(self, order: Order) -> _Video:
        """A job that is made once, however often it is asked for, as it has a key of its own."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        request = order.body(image_field="input_reference") | {"headers": key}
        try:
            return self._video("POST", "/v1/videos", **request)
        except KeyboardInterrupt:
            # It may have been taken: the same key gives its id, under which it can be cancelled.
            answer = self._http.once("POST", "/v1/videos", timeout=CONNECT_S, **request)
            self._cancel(self._http.read(_Video, answer.content).id)
            raise

    def _video(self, method: str, path: str, **request: Any) -> _Video:
        return self._http.read(_Video, self._http.patiently(method, path, **request).content)

    def _cancel(self, video_id: str) -> None:
        try:
            self._http.once("POST", f"/v1/videos/{video_id}/cancel", timeout=CONNECT_S)
        except RemoteError as error:
            raise RemoteError(f"{video_id} could not be cancelled: {error}") from error

    def _receipt(self, facts: Mapping[str, Any]) -> Receipt:
        """The receipt, without what a later server may add to it."""
        known = {name: facts[name] for name in Receipt.model_fields if name in facts}
        return self._http.read(Receipt, json.dumps(known))


class _Models(BaseModel):
    data: tuple[RemoteModel, ...]


class _Progress(BaseModel):
    state: str
    step: int
    steps: int

    @property
    def where(self) -> tuple[str, float]:
        if self.state == "queued" or not self.steps:
            return "queued", 0.0
        return f"step {self.step} of {self.steps}", self.step / self.steps


class _Picture(BaseModel):
    b64_json: str
    output_format: str
    receipt: dict[str, Any]


class _Video(BaseModel):
    id: str
    status: str
    progress: int
    error: Fault | None
    receipt: dict[str, Any] | None

    @property
    def where(self) -> tuple[str, float]:
        queued = self.status == "queued"
        return "queued" if queued else f"{self.progress} %", self.progress / 100
