"""Pages in browsers and a server without keys: which may ask it for something."""

from __future__ import annotations

import pytest

from cluster.auth import AuthConfig
from cluster.web_origin import refused_page

LOOPBACK = AuthConfig(keys="none")
OPEN = AuthConfig(keys="none", open_to_network=True)
KEYS = AuthConfig()


def refused(
    auth: AuthConfig,
    host: str,
    origin: str | None = None,
    method: str = "POST",
    public_url: str | None = None,
) -> bool:
    return refused_page(method, host, origin, auth, public_url) is not None


@pytest.mark.parametrize(
    "host",
    ["localhost:8000", "LOCALHOST", "a.localhost", "127.0.0.1:8000", "[::1]:8000", "10.0.0.7", ""],
)
def test_without_keys_the_server_answers_to_names_that_no_dns_can_move(host: str) -> None:
    assert not refused(LOOPBACK, host, method="GET")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8000", "[", "a b"]
)
def test_a_name_that_was_made_to_mean_this_machine_is_refused_whatever_is_asked(host: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert refused(LOOPBACK, host, method=method)
    problem = refused_page("GET", host, None, LOOPBACK, None)
    assert problem is not None
    assert "public_url" in problem
    assert problem.isprintable()


def test_the_name_in_public_url_is_this_servers_too() -> None:
    public = "https://Pictures.example/dit"
    assert not refused(LOOPBACK, "pictures.example", public_url=public)
    own = "https://pictures.example"
    assert not refused(LOOPBACK, "10.0.0.7:8000", own, public_url=public)
    assert refused(LOOPBACK, "other.example", public_url=public)


@pytest.mark.parametrize("auth", [LOOPBACK, OPEN])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "http://localhost:3000",
        "http://localhost:8000.evil",
        "x",
    ],
)
def test_without_keys_a_page_of_elsewhere_changes_nothing(
    auth: AuthConfig, method: str, origin: str
) -> None:
    assert refused(auth, "localhost:8000", origin, method)


@pytest.mark.parametrize("auth", [LOOPBACK, OPEN, KEYS])
def test_programs_and_the_servers_own_pages_may(auth: AuthConfig) -> None:
    assert not refused(auth, "localhost:8000")
    assert not refused(auth, "localhost:8000", "http://localhost:8000")
    assert not refused(auth, "LocalHost:8000", "http://localhost:8000")


def test_open_to_the_network_any_name_is_taken_as_nobody_knows_them_all() -> None:
    assert not refused(OPEN, "dit-serve.default.svc:8000")
    assert not refused(OPEN, "dit-serve.default.svc:8000", "http://dit-serve.default.svc:8000")


def test_with_keys_a_page_is_no_danger_as_browsers_send_none_by_themselves() -> None:
    assert not refused(KEYS, "evil.example", "https://evil.example")
    assert not refused(KEYS, "localhost", "https://studio.example")
