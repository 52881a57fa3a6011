"""Pictures that a request names by address: fetched within bounds, from listed hosts alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from starlette.testclient import TestClient

from cluster.config import ClusterConfig
from deployments import picture_fetch
from deployments.job_store import JobStore
from tests.unit.gateway.stand_in import Routers, picture

EDITS = "/v1/images/edits"
VIDEOS = "/v1/videos"


ANSWERS = {
    "/moved": (302, b""),
    "/gone": (404, b"secret page"),
    "/page": (200, b"<html>secret page</html>"),
    "/long": (200, b"x" * 300_000),
}


class Host(BaseHTTPRequestHandler):
    """Sends a picture, or what its path says instead."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, dict[str, str]]]
    stop: threading.Event

    def do_GET(self) -> None:
        self.asked.append((self.path, {key.lower(): each for key, each in self.headers.items()}))
        if self.path == "/slow":
            self.stop.wait(30)
        status, body = ANSWERS.get(self.path, (200, picture()))
        self.send_response(status)
        headers = {"Content-Length": len(body), "Location": "/picture.png", "Set-Cookie": "who=you"}
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing on the terminal."""

    def handle_error(self) -> None:
        """A caller that hangs up is what some tests are about."""


@pytest.fixture
def host() -> Iterator[ThreadingHTTPServer]:
    Host.asked, Host.stop = [], threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        Host.stop.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def config(config: ClusterConfig, host: ThreadingHTTPServer) -> ClusterConfig:
    origin = f"http://127.0.0.1:{host.server_port}"
    return config.model_copy(update={"picture_hosts": (origin,)})


@pytest.fixture
def at(config: ClusterConfig) -> Any:
    """The object that names a path of the host."""
    return lambda path: {"image_url": config.picture_hosts[0] + path}


def edited(client: TestClient, **fields: Any) -> Any:
    return client.post(EDITS, json={"prompt": "a dog"} | fields)


def test_an_edit_of_an_address_is_the_edit_of_its_file(
    client: TestClient, routers: Routers, at: Any
) -> None:
    fields = {"prompt": "a dog", "seed": 7}
    named = client.post(EDITS, json=fields | {"images": [at("/picture.png?v=1")]})
    sent = client.post(EDITS, data=fields, files={"image": picture()})
    assert (named.status_code, sent.status_code) == (200, 200), named.text
    one, other = routers.jobs
    assert one.images == other.images == (picture(),)
    assert (one.task, one.width, one.height) == (other.task, other.width, other.height)


def test_a_video_begins_from_the_picture_of_an_address(
    client: TestClient, store: JobStore, at: Any
) -> None:
    fields = {"prompt": "waves", "model": "moving", "input_reference": at("/picture.png")}
    answer = client.post(VIDEOS, json=fields)
    assert answer.status_code == 200, answer.text
    assert store.input_reference(answer.json()["id"]) == picture()


def test_the_host_learns_nothing_of_the_caller_and_sets_no_cookie(
    client: TestClient, at: Any
) -> None:
    secret = {"Authorization": "Bearer dit_secret", "Cookie": "who=me", "Referer": "http://here"}
    for _ in range(2):
        answer = client.post(
            EDITS, json={"prompt": "a dog", "images": [at("/picture.png")]}, headers=secret
        )
        assert answer.status_code == 200
    assert len(Host.asked) == 2
    for _, headers in Host.asked:
        assert not {"authorization", "cookie", "referer"} & set(headers)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/moved", "answered 302"),
        ("/gone", "answered 404"),
        ("/page", "is no picture that can be read"),
        ("/long", "has more than 200000 bytes"),
    ],
)
def test_what_is_no_picture_is_refused_and_not_repeated(
    client: TestClient, at: Any, path: str, words: str
) -> None:
    answer = edited(client, images=[at(path)])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_value")
    assert words in error["message"]
    assert "secret page" not in answer.text
    assert [asked for asked, _ in Host.asked] == [path]


def test_pictures_of_one_request_are_bounded_together(client: TestClient, at: Any) -> None:
    answer = edited(client, images=[at("/picture.png"), at("/long")])
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "images[1]")
    assert f"more than {200_000 - len(picture())} bytes" in error["message"]
    answer = edited(client, images=[at("/picture.png")] * 17)
    assert "16 pictures are taken, not 17" in answer.json()["error"]["message"]


def test_a_slow_host_is_not_waited_for_without_end(
    client: TestClient, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_fetch, "FETCH_S", 0.3)
    began_s = time.monotonic()
    answer = edited(client, images=[at("/slow")])
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "images[0]")
    assert "was not fetched within 0.3 seconds" in error["message"]
    assert time.monotonic() - began_s < 10


def test_a_host_that_does_not_listen_is_told_in_one_sentence(
    client: TestClient, at: Any, host: ThreadingHTTPServer
) -> None:
    host.shutdown()
    host.server_close()
    answer = edited(client, images=[at("/picture.png")])
    assert answer.status_code == 400
    assert "could not be asked: ConnectError" in answer.json()["error"]["message"]


@pytest.mark.parametrize("other", ["http://localhost", "https://127.0.0.1", "http://127.0.0.1"])
def test_nobody_is_asked_where_one_address_is_of_another_host(
    client: TestClient, at: Any, other: str
) -> None:
    images = [at("/picture.png"), {"image_url": f"{other}/picture.png"}]
    error = edited(client, images=images).json()["error"]
    assert error["param"] == "images[1]"
    assert "fetches no pictures from" in error["message"]
    error = edited(client, images=images[:1], mask=images[1]).json()["error"]
    assert error["param"] == "mask"
    assert Host.asked == []


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """For 140 bytes: of the body, and not of the picture as well."""
    monkeypatch.setattr("deployments.http_app.LONGEST_AT_ONCE", 0.0007)


def test_without_room_for_what_comes_a_request_is_told_to_come_again(
    little_room: None, client: TestClient, at: Any
) -> None:
    answer = edited(client, images=[at("/picture.png")])
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")


def test_a_picture_in_json_is_an_object_with_an_address(client: TestClient, at: Any) -> None:
    for images in (["aGVsbG8="], [{"file_id": "f"}], [at("/picture.png")["image_url"]]):
        error = edited(client, images=images).json()["error"]
        assert error["param"] == "images[0]"
        assert error["message"].startswith("images[0]: must be a file")
    assert Host.asked == []
