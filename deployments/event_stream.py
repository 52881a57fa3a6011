"""Server-sent events of a picture in the making, in OpenAI's shapes. Pure: no network."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from cluster.errors import DitServeError
from cluster.job import Job
from cluster.progress import Progress
from cluster.receipt import GenerateResult
from deployments.openai_api import error_body

Kind = Literal["image_generation", "image_edit"]

_NO_TOKENS = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
"""The official SDK's event has them; work here is counted in steps and seconds, on the receipt."""


class ImageEvents:
    """The events of one job."""

    def __init__(self, kind: Kind, job: Job, url_of: Callable[[str], str]) -> None:
        """`url_of(key)` is where a stored picture can be fetched."""
        self._kind = kind
        self._url_of = url_of
        self._previews = 0
        self._facts = {
            "background": "opaque",
            "output_format": job.output_format,
            "quality": "auto",
            "size": f"{job.width}x{job.height}",
        }

    def of(self, event: Progress | bytes | GenerateResult) -> Iterator[bytes]:
        """What is sent for something that happened."""
        match event:
            case Progress(state, done, steps):
                yield self._sent("progress", {"state": state, "step": done, "steps": steps})
            case bytes() as preview:
                index, self._previews = self._previews, self._previews + 1
                yield self._sent(
                    "partial_image",
                    self._picture() | {"b64_json": _text(preview), "partial_image_index": index},
                )
            case GenerateResult() as result:
                receipt = result.receipt.model_dump(mode="json")
                shown = [{"b64_json": _text(image)} for image in result.images]
                shown += [{"url": self._url_of(stored.key)} for stored in result.stored]
                for each in shown:
                    yield self._sent(
                        "completed",
                        self._picture() | each | {"usage": _NO_TOKENS, "receipt": receipt},
                    )

    def _picture(self) -> dict[str, Any]:
        return self._facts | {"created_at": int(time.time())}

    def _sent(self, name: str, body: Mapping[str, Any]) -> bytes:
        kind = f"{self._kind}.{name}"
        return _event(kind, {"type": kind, **body})


def error_event(error: DitServeError) -> bytes:
    """What is sent when a job fails that had been admitted."""
    return _event("error", error_body(error))


def _event(name: str, body: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(body)}\n\n".encode()


def _text(file: bytes) -> str:
    return base64.b64encode(file).decode("ascii")
