"""Addresses in requests stay text: the server goes nowhere on a caller's word."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

PROMPT = {"prompt": "waves"}


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """A server to which nobody is to come."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("kind", ["http", "file", "data"])
def test_an_address_in_the_place_of_a_picture_is_refused_by_the_name_of_its_field(
    client: TestClient, elsewhere: socket.socket, kind: str
) -> None:
    address = {
        "http": f"http://127.0.0.1:{elsewhere.getsockname()[1]}/picture.png",
        "file": "file:///etc/passwd",
        "data": "data:image/png;base64,iVBORw0KGgo=",
    }[kind]
    moving = PROMPT | {"model": "moving"}
    form = {"other": (None, "")}
    tries = [
        (client.post("/v1/images/generations", json=PROMPT | {"images": [address]}), "images[0]"),
        (client.post("/v1/images/generations", json=PROMPT | {"image": address}), "image"),
        (client.post("/v1/images/generations", json=PROMPT | {"mask": address}), "mask"),
        (client.post("/v1/images/edits", json=PROMPT | {"images": [address]}), "images[0]"),
        (
            client.post("/v1/images/edits", json=PROMPT | {"images": [{"image_url": address}]}),
            "images[0]",
        ),
        (client.post("/v1/images/edits", data=PROMPT | {"image": address}, files=form), "image"),
        (
            client.post("/v1/images/edits", data=PROMPT | {"image_url": address}, files=form),
            "image",
        ),
        (client.post("/v1/videos", json=moving | {"input_reference": address}), "input_reference"),
        (
            client.post("/v1/videos", json=moving | {"input_reference": {"image_url": address}}),
            "input_reference",
        ),
        (
            client.post("/v1/videos", data=moving | {"input_reference": address}, files=form),
            "input_reference",
        ),
    ]
    for answer, param in tries:
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"] == param
