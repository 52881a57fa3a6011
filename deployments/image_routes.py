"""`/v1/images`: pictures from a prompt or from pictures, at once, as a stream, or by URL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response, StreamingResponse

from cluster.config import ClusterConfig
from cluster.errors import DitServeError, InvalidRequest
from cluster.request import GenerateRequest, parse_request
from cluster.settling import model_making
from cluster.trace_attributes import of_receipt
from deployments import openapi_document as document
from deployments.admission import caller_of
from deployments.bodies_held import holding
from deployments.event_stream import ImageEvents, Kind, error_event
from deployments.form_body import decode_form, files_of, is_form, one_file
from deployments.http_body import read_body
from deployments.openai_api import decode_body, images_response, is_json
from deployments.picture_fetch import PictureFetch
from deployments.request_spans import span_of, traced
from deployments.result_responses import content_response, no_such_result
from deployments.results import ResultStore
from deployments.router_calls import JobEvent, RouterCalls
from deployments.settled import settled
from deployments.shelves import IMAGES
from deployments.urls import Urls

ImageId = Annotated[str, Path(description="The id in the picture's `url`")]

NEVER_CACHED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""A proxy on the way is not to hold the events back."""


def image_routes(
    config: ClusterConfig, calls: RouterCalls, results: ResultStore, fetch: PictureFetch
) -> APIRouter:
    """The routes of pictures."""
    routes = APIRouter(prefix="/v1/images", tags=["images"])

    @routes.post("/generations", **document.generations())
    async def create_image(request: Request) -> Response:
        """Pictures from a prompt."""
        body = await read_body(request, config.max_body_bytes)
        fields = decode_body(body, request.headers.get("content-type", ""))
        return await answer(request, parse_request(fields), "image_generation", "image")

    @routes.post("/edits", **document.edits())
    async def edit_image(request: Request) -> Response:
        """Pictures from pictures and a prompt, in the part that a mask leaves open or all over."""
        kind = request.headers.get("content-type", "")
        if is_json(kind):
            parsed = await with_addresses(request, kind)
            return await answer(request, parsed, "image_edit", "images")
        if not is_form(kind):
            raise InvalidRequest(
                "Content-Type: must be multipart/form-data, with an image, or application/json, "
                "with its address"
            )
        body = await read_body(request, config.max_upload_bytes)
        fields: dict[str, Any] = await decode_form(body, request.headers)
        images, mask = files_of(fields, "image"), one_file(fields, "mask")
        if not images:
            raise InvalidRequest("image: is missing", param="image")
        if "images" in fields:
            raise InvalidRequest("images: unknown key; did you mean image?", param="images")
        parsed = parse_request(fields | {"images": images, "mask": mask}, from_form=True)
        return await answer(request, parsed, "image_edit", "image")

    @routes.head("/{image_id}/content", include_in_schema=False)
    @routes.get("/{image_id}/content", **document.image_content())
    async def image_content(request: Request, image_id: ImageId) -> Response:
        """A picture that was asked for with `response_format: url`, until it expires."""
        if not caller_of(request).may_read(IMAGES.owner_of(image_id)):
            raise no_such_result(image_id)
        return await content_response(request, results, IMAGES, image_id)

    async def with_addresses(request: Request, content_type: str) -> GenerateRequest:
        """An edit in JSON, which names its pictures by their addresses."""
        fields = decode_body(await read_body(request, config.max_body_bytes), content_type)
        parsed = parse_request(await fetch.filled(fields, holding(request)))
        if not parsed.images:
            raise InvalidRequest("images: is missing", param="images")
        return parsed

    async def answer(
        request: Request, parsed: GenerateRequest, kind: Kind, picture_field: str
    ) -> Response:
        model = model_making(parsed.model, config, videos=False)
        asked = parsed.model_copy(update={"model": model.name})
        span = span_of(request)
        caller = caller_of(request)
        job = await settled(asked, config, picture_field=picture_field, caller=caller)
        job = span.carried_by(job)
        url_of = Urls(request, config).of_image
        if parsed.stream:
            events = ImageEvents(kind, job, url_of)
            return await _stream(traced(calls.follow(job), span), events)
        result = await calls.submit(job)
        span.tell(of_receipt(result.receipt))
        body = await asyncio.to_thread(lambda: json.dumps(images_response(result, url_of)))
        return Response(body, media_type="application/json")

    return routes


async def _stream(happening: AsyncGenerator[JobEvent, None], events: ImageEvents) -> Response:
    """A job as events. What is refused before anything happened is an error like any other."""
    first = await anext(happening)

    async def body() -> AsyncIterator[bytes]:
        async with aclosing(happening):
            for sent in events.of(first):
                yield sent
            try:
                async for event in happening:
                    for sent in events.of(event):
                        yield sent
            except DitServeError as error:
                yield error_event(error)

    return StreamingResponse(body(), media_type="text/event-stream", headers=NEVER_CACHED)
