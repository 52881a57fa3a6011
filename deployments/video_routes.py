"""`/v1/videos`: clips as durable jobs, from any gateway."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response

from cluster.config import ClusterConfig
from cluster.errors import NotFound, NotReady
from cluster.fitting import frames_for
from cluster.job import Job
from cluster.request import VideoRequest, parse_video_request
from cluster.settling import model_making
from cluster.trace_attributes import REQUEST_ID
from cluster.video_job import VideoJob, VideoStatus, request_digest
from deployments import openapi_document as document
from deployments.admission import caller_of
from deployments.bodies_held import holding
from deployments.form_body import decode_form, is_form, one_file
from deployments.http_body import read_body
from deployments.job_store import JobStore
from deployments.openai_api import decode_body
from deployments.openai_videos import deleted_response, page_response, video_response
from deployments.picture_fetch import PictureFetch
from deployments.request_spans import span_of
from deployments.result_responses import content_response
from deployments.results import ResultStore
from deployments.router_calls import RouterCalls
from deployments.settled import settled
from deployments.shelves import VIDEOS
from deployments.video_intake import taken_in
from deployments.video_runner import VideoRunner

VideoId = Annotated[str, Path(description="The id of a video")]
IdempotencyKey = Annotated[
    str | None,
    Header(description="Any text: the same request again with this key makes no second video"),
]
After = Annotated[str | None, Query(description="The last id of the page before")]
Variant = Annotated[Literal["video"], Query(description="The clip itself; there is no other")]
Limit = Annotated[int, Query(ge=1, le=100, description="How many are listed at most")]
Order = Annotated[Literal["asc", "desc"], Query(description="By the time they were asked for")]


def video_routes(
    config: ClusterConfig,
    calls: RouterCalls,
    store: JobStore,
    results: ResultStore,
    runner: VideoRunner,
    fetch: PictureFetch,
) -> APIRouter:
    """The routes of videos."""
    routes = APIRouter(prefix="/v1/videos", tags=["videos"])

    @routes.post("", **document.create_video())
    async def create_video(
        request: Request, idempotency_key: IdempotencyKey = None
    ) -> dict[str, Any]:
        """A clip from a prompt, or from a picture and a prompt: taken as a job and made later."""
        kept = await taken_in(*await new_video(request, idempotency_key), store, calls)
        span_of(request).tell({REQUEST_ID: kept.id})
        runner.poke()
        return video_response(kept)

    @routes.get("", **document.list_videos())
    async def list_videos(
        request: Request, after: After = None, limit: Limit = 20, order: Order = "desc"
    ) -> dict[str, Any]:
        """The key's own videos, newest first, page by page; for the scope admin, everybody's."""
        videos, has_more = await asyncio.to_thread(
            store.page, caller_of(request).sees, after=after, limit=limit, order=order
        )
        return page_response(videos, has_more)

    @routes.get("/{video_id}", **document.video())
    async def retrieve_video(request: Request, video_id: VideoId) -> dict[str, Any]:
        """A video: its status, its progress in percent, and its receipt when it is done."""
        return video_response(await video_of(request, video_id))

    @routes.head("/{video_id}/content", include_in_schema=False)
    @routes.get("/{video_id}/content", **document.video_content())
    async def video_content(
        request: Request, video_id: VideoId, variant: Variant = "video"
    ) -> Response:
        """The clip, H.264 in MP4, until it expires."""
        video = await video_of(request, video_id)
        if video.status is not VideoStatus.COMPLETED:
            raise NotReady(f"{video.id} is {video.status}, so there is nothing to download")
        return await content_response(request, results, VIDEOS, video.id)

    @routes.post("/{video_id}/cancel", **document.cancel_video())
    async def cancel_video(request: Request, video_id: VideoId) -> dict[str, Any]:
        """Stops a video that is not done; one that has ended is answered as it is."""
        sees = caller_of(request).sees
        video = await asyncio.to_thread(store.cancel, video_id, sees, time.time())
        if video is None:
            raise unknown(video_id)
        runner.drop(video.id)
        return video_response(video)

    @routes.delete("/{video_id}", **document.delete_video())
    async def delete_video(request: Request, video_id: VideoId) -> dict[str, Any]:
        """Deletes a video and its clip; one that is being made is stopped."""
        video = await asyncio.to_thread(store.delete, video_id, caller_of(request).sees)
        if video is None:
            raise unknown(video_id)
        runner.drop(video.id)
        await asyncio.to_thread(results.delete, VIDEOS.key(video.id))
        return deleted_response(video.id)

    async def new_video(request: Request, key: str | None) -> tuple[VideoJob, Job, bytes | None]:
        parsed = await parsed_body(request)
        model = model_making(parsed.model, config, videos=True)
        asked = parsed.as_generate(model.name, frames_for(parsed, model))
        job = await settled(asked, config, VIDEOS, "input_reference", caller_of(request))
        job = span_of(request).carried_by(job)
        fields = parsed.model_dump(mode="json", exclude={"input_reference"})
        assert job.num_frames is not None, "a model that makes videos settles them"
        video = VideoJob(
            id=job.request_id,
            owner=job.key_id,
            job=job.as_mapping(),
            prompt=job.prompt,
            model=job.model,
            size=f"{job.width}x{job.height}",
            seconds=f"{parsed.seconds or job.num_frames / job.fps:g}",
            created_at=time.time(),
            request_digest=request_digest(fields, parsed.input_reference),
            idempotency_key=key,
        )
        return video, job, parsed.input_reference

    async def parsed_body(request: Request) -> VideoRequest:
        kind = request.headers.get("content-type", "")
        if not is_form(kind):
            body = await read_body(request, config.max_body_bytes)
            fields = await fetch.filled(decode_body(body, kind), holding(request))
            return parse_video_request(fields)
        body = await read_body(request, config.max_upload_bytes)
        fields = await decode_form(body, request.headers)
        picture = one_file(fields, "input_reference")
        return parse_video_request(fields | {"input_reference": picture}, from_form=True)

    async def video_of(request: Request, video_id: str) -> VideoJob:
        video = await asyncio.to_thread(store.get, video_id, caller_of(request).sees)
        if video is None:
            raise unknown(video_id)
        return video

    def unknown(video_id: str) -> NotFound:
        return NotFound(f"{video_id[:80]!r}: no such video, or it was deleted or has expired")

    return routes
