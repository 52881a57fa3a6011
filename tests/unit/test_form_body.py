"""Multipart forms: fields by name, files whole, and every other body refused in one sentence."""

from __future__ import annotations

import asyncio
import tempfile
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from cluster.errors import InvalidRequest
from deployments.form_body import (
    MAX_FIELDS,
    MAX_FILES,
    MAX_TEXT_BYTES,
    decode_form,
    files_of,
    is_form,
    one_file,
)

END = b"--XX--\r\n"
TYPE = "multipart/form-data; boundary=XX"


def part(name: str, data: bytes, filename: str | None = None) -> bytes:
    named = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    return b"--XX\r\nContent-Disposition: %s\r\n\r\n%s\r\n" % (named.encode(), data)


def decoded(body: bytes, content_type: str = TYPE) -> dict[str, Any]:
    return asyncio.run(decode_form(body, Headers({"content-type": content_type})))


def refusal(body: bytes, content_type: str = TYPE) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decoded(body, content_type)
    assert caught.value.message.isprintable()
    return caught.value


def sent_by_httpx(data: dict[str, str], files: Any) -> dict[str, Any]:
    """What arrives of a form that the official SDK's HTTP client makes."""
    request = httpx.Request("POST", "http://here", data=data, files=files)
    return decoded(request.read(), request.headers["content-type"])


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        ("multipart/form-data; boundary=XX", True),
        ("Multipart/Form-Data ;boundary=XX", True),
        ("application/json", False),
        ("multipart/mixed; boundary=XX", False),
        ("", False),
    ],
)
def test_a_form_is_told_by_its_content_type(content_type: str, form: bool):
    assert is_form(content_type) is form


def test_texts_are_text_and_files_their_bytes():
    fields = sent_by_httpx({"prompt": "ein Kreis 圆"}, {"mask": b"\x00\r\n\xff"})
    assert fields == {"prompt": "ein Kreis 圆", "mask": [b"\x00\r\n\xff"]}


@pytest.mark.parametrize("name", ["image", "image[]"])
def test_several_files_of_a_name_are_a_list_with_or_without_brackets(name: str):
    fields = sent_by_httpx({}, [(name, b"first"), (name, b"second")])
    assert fields == {"image": [b"first", b"second"]}


def test_a_large_file_arrives_whole():
    picture = bytes(range(256)) * 20_000
    assert decoded(part("image", picture, "a.png") + END) == {"image": [picture]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "it is cut off"),
        (b"no form", "Invalid multipart data"),
        (part("prompt", b"a") + part("image", b"x" * 99, "a.png"), "it is cut off"),
        (part("prompt", b"a") + part("image", b"x" * 99, "a.png")[:-40], "it is cut off"),
        (part("prompt", b"a")[:20], "it is cut off"),
        (b"--XX\r\n\r\nno name\r\n" + END, '"name" must be provided'),
        (part("prompt", b"x" * (MAX_TEXT_BYTES + 1)) + END, "exceeded maximum size"),
        (part("image", b"", "a") * (MAX_FILES + 1) + END, f"number of files is {MAX_FILES}"),
        (part("a", b"") * (MAX_FIELDS + 1) + END, f"number of fields is {MAX_FIELDS}"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[-12:]),
)
def test_what_is_no_whole_form_is_refused_with_the_reason(body: bytes, words: str):
    assert words in refusal(body).message


def test_a_form_without_a_boundary_is_refused():
    assert "boundary" in refusal(part("prompt", b"a") + END, "multipart/form-data").message


@pytest.mark.parametrize("charset", ["utf-16", "undefined", "punycode", "zlib", "bogus"])
def test_text_in_another_charset_than_utf_8_is_refused(charset: str):
    assert "UTF-8" in refusal(part("a", b"1") + END, f"{TYPE}; charset={charset}").message
    assert decoded(part("a", b"1") + END, f"{TYPE}; charset=UTF-8") == {"a": "1"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (part("n", b"1") + part("n", b"2"), "n: is given twice"),
        (part("n", b"1") + part("n[]", b"2"), "n: is given twice"),
        (part("mask", b"1", "m.png") + part("mask", b"2"), "mask: is given twice"),
        (part("mask", b"2") + part("mask", b"1", "m.png"), "mask: is text and a file at once"),
    ],
)
def test_a_name_has_one_text_or_files(body: bytes, message: str):
    error = refusal(body + END)
    assert (error.message, error.param) == (message, message.partition(":")[0])


def test_a_name_is_told_short_and_printable():
    name = "x" * 500 + "\x07"
    error = refusal(part(name, b"1") + part(name, b"2") + END)
    assert len(error.message) < 200


def test_files_are_taken_out_of_the_fields():
    fields: dict[str, Any] = {"image": [b"a", b"b"], "mask": [b"m"], "n": "1"}
    assert files_of(fields, "image") == (b"a", b"b")
    assert one_file(fields, "mask") == b"m"
    assert (one_file(fields, "other"), files_of(fields, "other")) == (None, ())
    assert fields == {"n": "1"}


def test_a_text_where_a_file_is_due_and_two_files_where_one_is_are_refused():
    with pytest.raises(InvalidRequest, match="mask: must be a file of the form, not text"):
        one_file({"mask": "text"}, "mask")
    with pytest.raises(InvalidRequest, match="mask: one file is taken, not 2"):
        one_file({"mask": [b"a", b"b"]}, "mask")


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "/etc/passwd", "a\x00.png", "con", "x" * 500]
)
def test_neither_a_file_nor_its_name_reaches_a_disk(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def opened(*arguments: Any, **settings: Any) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", opened)
    long = bytes(3_000_000)
    assert decoded(part("image", long, name) + END) == {"image": [long]}


PARTS = st.tuples(
    st.sampled_from(["prompt", "image", "image[]", "n"]),
    st.binary(max_size=20),
    st.none() | st.just("a.png"),
)


@given(st.lists(PARTS, max_size=4), st.binary(max_size=30), st.integers(0, 200), st.booleans())
def test_whatever_bytes_come_in_are_fields_or_a_refusal(
    parts: list[Any], noise: bytes, at: int, whole: bool
):
    body = b"".join(part(*each) for each in parts) + (END if whole else b"")
    refused = None
    try:
        fields = decoded(body[:at] + noise + body[at:])
    except InvalidRequest as error:
        refused = error
    if refused is None:
        assert all(isinstance(each, str | list) for each in fields.values())
    else:
        assert refused.message.isprintable()
