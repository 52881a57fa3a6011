"""`GET /docs`: the OpenAPI document as a page, which needs nothing from elsewhere."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from deployments.page_files import PageFiles

PAGE = "index.html"


def docs_router() -> APIRouter:
    """The page and, below it, its files. It takes the studio's colours and type."""
    page = PageFiles("api_page")
    router = APIRouter(include_in_schema=False)

    @router.api_route("/docs", methods=["GET", "HEAD"])
    async def docs(request: Request) -> Response:
        return answer(request, PAGE)

    @router.api_route("/docs/{name}", methods=["GET", "HEAD"])
    async def docs_file(request: Request, name: str) -> Response:
        return answer(request, "" if name == PAGE else name)

    def answer(request: Request, name: str) -> Response:
        found = page.answer(request, name)
        if found is None:
            raise HTTPException(404, "the page has no such file")
        return found

    return router
