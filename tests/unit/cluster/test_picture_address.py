"""Which addresses of pictures are of the hosts that a config names."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cluster.config import ClusterConfig
from cluster.errors import InvalidRequest
from cluster.picture_address import ADDRESS_CHARS_MAX, picture_address

HOSTS = ("https://pictures.example.com", "http://[::1]:9000")


def asked(address: object) -> str | None:
    return picture_address({"image_url": address}, "mask", HOSTS)


@pytest.mark.parametrize(
    "address",
    [
        "https://pictures.example.com/a.png",
        "https://pictures.example.com",
        "HTTPS://Pictures.Example.COM:443/a%20b.png?v=1&token=x#top",
        "http://[::1]:9000/a@b.png",
    ],
)
def test_an_address_of_a_listed_host_is_taken_as_it_is(address: str) -> None:
    assert asked(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "http://pictures.example.com/a.png",
        "https://pictures.example.com:8443/a.png",
        "https://pictures.example.com.evil.org/a.png",
        "https://pictures.example.com./a.png",
        "https://sub.pictures.example.com/a.png",
        "https://evil.org/https://pictures.example.com/a.png",
        "http://127.0.0.1/a.png",
        "http://[::1]/a.png",
    ],
)
def test_an_address_of_any_other_host_is_refused_by_its_origin(address: str) -> None:
    with pytest.raises(InvalidRequest, match="fetches no pictures from http") as refused:
        asked(address)
    assert refused.value.param == "mask"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/a.png",
        "//pictures.example.com/a.png",
        "file:///etc/passwd",
        "ftp://pictures.example.com/a.png",
        "data:image/png;base64,iVBORw0KGgo=",
        "https://pictures.example.com@evil.org/a.png",
        "https://user:secret@pictures.example.com/a.png",
        "https://pictures.example.com\\@evil.org/a.png",
        "https://pictures.example.com#@evil.org/",
        "https://pictures.example.com?@evil.org/",
        "https://pictures.example.com\t.evil.org/a.png",
        " https://pictures.example.com/a.png",
        "https://pictures.example.com/a.png\n",
        "https://pictures.example.com/\u00e4.png",
        "https://p\u0456ctures.example.com/a.png",
        "https://pictures.example.com:/a.png",
    ],
)
def test_what_could_be_read_in_two_ways_is_no_address(address: str) -> None:
    with pytest.raises(InvalidRequest, match="must be an http or https address"):
        asked(address)


@pytest.mark.parametrize("address", [5, None, ["https://pictures.example.com/a.png"]])
def test_an_address_is_text(address: object) -> None:
    with pytest.raises(InvalidRequest, match="image_url must be text"):
        asked(address)


def test_an_address_has_a_longest_length() -> None:
    start = "https://pictures.example.com/"
    longest = start + "a" * (ADDRESS_CHARS_MAX - len(start))
    assert asked(longest) == longest
    with pytest.raises(InvalidRequest, match="at most 2048 characters"):
        asked(longest + "a")


def test_other_keys_beside_an_address_are_refused_and_other_values_are_no_address() -> None:
    with pytest.raises(InvalidRequest, match="other keys beside image_url"):
        picture_address({"image_url": "https://a.org/", "file_id": "f"}, "mask", HOSTS)
    for value in (None, "https://pictures.example.com/a.png", {"file_id": "f"}, b"file"):
        assert picture_address(value, "mask", HOSTS) is None


def config_with(*hosts: str) -> ClusterConfig:
    pools = [{"name": "cpu", "device": "cpu", "dtype": "float32"}]
    models = [{"name": "shapes", "source": "someones/shapes", "pools": pools}]
    return ClusterConfig.model_validate({"models": models, "picture_hosts": list(hosts)})


def test_a_config_has_each_host_in_one_spelling() -> None:
    config = config_with(
        "HTTPS://Pictures.Example.com:443/", "http://127.0.0.1:9000", "http://[::1]"
    )
    told = ("https://pictures.example.com", "http://127.0.0.1:9000", "http://[::1]")
    assert config.picture_hosts == told
    assert config_with().picture_hosts == ()


@pytest.mark.parametrize(
    "host",
    [
        "pictures.example.com",
        "https://*.example.com",
        "https://pictures.example.com/folder",
        "https://user@pictures.example.com",
        "https://pictures.example.com:99999",
        "https://pictures.example.com:0",
        "http://[::::]",
        "http://999.1.1.1:9000",
        "https://pictures..example.com",
        "https://pictures.example.com.",
        f"https://{'a' * 64}.example.com",
        "*",
    ],
)
def test_a_config_with_anything_but_origins_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="is no origin such as"):
        config_with(host)
