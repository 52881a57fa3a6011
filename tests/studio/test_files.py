"""The studio's files over HTTP, without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from deployments.studio_files import studio_file, studio_names, studio_router

FOLDER = Path("deployments/studio")


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(studio_router())
    with TestClient(app) as made:
        yield made


def test_every_file_is_served_with_its_type_and_what_it_may_do(client: TestClient) -> None:
    assert set(studio_names()) == {path.name for path in FOLDER.iterdir()}
    for name in studio_names():
        answer = client.get("/" if name == "index.html" else f"/studio/{name}")
        assert answer.status_code == 200
        assert answer.content == (FOLDER / name).read_bytes()
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    assert client.get("/studio/studio.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/").headers["content-type"] == "text/html; charset=utf-8"


def test_a_file_that_the_browser_has_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/studio/theme.css")
    assert first.headers["cache-control"] == "no-cache"
    for tag in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
        again = client.get("/studio/theme.css", headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
    other = client.get("/studio/theme.css", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200
    assert len({studio_file(name).etag for name in studio_names()}) == len(studio_names())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name", ["none.js", "..%2fgateway.py", "%2e%2e/cli.py", "theme.css%00", "index.html", ""]
)
def test_no_other_name_is_answered(client: TestClient, name: str) -> None:
    assert client.get(f"/studio/{name}").status_code == 404


def test_a_head_request_gets_the_headers(client: TestClient) -> None:
    answer = client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "etag" in answer.headers


def test_the_page_asks_for_all_its_modules_and_styles_at_once() -> None:
    page = (FOLDER / "index.html").read_text()
    asked = set(re.findall(r'(?:href|src)="studio/([^"]+)"', page))
    assert asked == {path.name for path in FOLDER.iterdir()} - {"index.html"}


def test_the_page_names_no_other_place() -> None:
    for path in FOLDER.iterdir():
        for address in re.findall(r"\b(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", path.read_text()):
            assert address == "http://www.w3.org/2000/svg", path


MARKUP = re.compile(r"(inner|outer)HTML|insertAdjacentHTML|document\.write|eval\(")


def test_no_module_makes_markup_of_text() -> None:
    for path in FOLDER.glob("*.js"):
        assert not MARKUP.search(path.read_text()), path
