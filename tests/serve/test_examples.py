"""Every example of docs/api.md runs as it stands, against a server at another port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from cluster import errors
from cluster.receipt import Receipt
from cluster.request import GenerateRequest, VideoRequest
from deployments.clips import is_clip
from tests.serve.server import Server

DOCUMENT = Path("docs/api.md").read_text()
SECTIONS = {
    heading: re.findall(r"```(bash|python)\n(.*?)```", text, re.DOTALL)
    for heading, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", DOCUMENT, re.DOTALL | re.M)
}
EXAMPLES = {heading: blocks for heading, blocks in SECTIONS.items() if blocks}
BLOCK_S = 60.0

WRITTEN: Mapping[str, Mapping[str, str]] = {
    "Keys": {},
    "Pictures": {"circle-0.webp": "WEBP", "circle-1.webp": "WEBP"},
    "Edits": {
        "circle.png": "PNG",
        "left-half.png": "PNG",
        "triangle.png": "PNG",
        "yellow.png": "PNG",
    },
    "Streams": {"star.png": "PNG"},
    "Stored results": {"circle.jpeg": "JPEG"},
    "Videos": {"rise.mp4": "MP4", "rise-again.mp4": "MP4"},
    "Errors": {},
    "From Python inside the Ray cluster": {"blue.png": "PNG"},
    "From the command line": {
        "out/fast.png": "PNG",
        "out/medium-0.png": "PNG",
        "out/medium-1.png": "PNG",
        "out/sheet.png": "PNG",
        "out/medium.mp4": "MP4",
    },
}
"""The files that the examples of a section write, and what they are."""

PRINTED: Mapping[str, str] = {
    "Keys": r" my-program +generate .* works *\nKey [a-z2-7]{10} of \S+ does not work any more$",
    "Pictures": r"^fast \d+ of 40 steps$",
    "Edits": r"^$",
    "Streams": r"running \d+ of 60\n(.*\n)*\d+\.\d\d s\n(.*\n)*event: image_generation.completed",
    "Stored results": r"^$",
    "Videos": r"^fast \d\.\d+\n\['video_",
    "Errors": r"^400 invalid_value tier\n"
    r"400 invalid_value num_inference_steps\n"
    r"400 invalid_value steps$",
    "From Python inside the Ray cluster": r"running \d+ of \d+\n(.*\n)*request_id='",
    "From the command line": r"tier fast: 11 of 28 steps computed(.*\n)*.*ultra +│ 8 of 28",
}
"""What they print, as far as it is the same each time."""


def kind_of(file: Path) -> str:
    if is_clip(file.read_bytes()):
        return "MP4"
    with Image.open(file) as picture:
        return str(picture.format)


@pytest.mark.ray
@pytest.mark.parametrize("heading", EXAMPLES)
def test_the_examples_do_what_their_section_says(
    server: Server, tmp_path: Path, heading: str
) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path.cwd()),
        "PYTHONWARNINGS": "ignore",
        "RAY_ADDRESS": server.ray_address(),
        "COLUMNS": "100",
    }
    printed = ""
    for language, code in EXAMPLES[heading]:
        code = code.replace("http://127.0.0.1:8000", server.url).replace(".venv/bin/", "")
        shell = (
            [sys.executable, "-c"] if language == "python" else ["bash", "-eo", "pipefail", "-c"]
        )
        finished = subprocess.run(
            [*shell, code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_S,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-3000:]
        printed += finished.stdout
    assert re.search(PRINTED[heading], printed, re.MULTILINE), printed[-2000:]
    found = {name: kind_of(tmp_path / name) for name in WRITTEN[heading]}
    assert found == WRITTEN[heading]


def test_every_section_with_examples_is_expected_to_write_and_print_something() -> None:
    assert set(EXAMPLES) == set(WRITTEN) == set(PRINTED)


def test_every_field_and_every_line_of_the_receipt_is_told() -> None:
    fields = {*GenerateRequest.model_fields, *VideoRequest.model_fields, *Receipt.model_fields}
    told = set(" ".join(re.findall(r"`([\w ]+)`", DOCUMENT)).split())
    assert fields - told == set()


def test_every_code_of_an_error_is_told_with_its_status() -> None:
    told = {
        (int(status), code)
        for status, codes in re.findall(r"^\| (\d{3}) \| (.*?) \|", DOCUMENT, re.M)
        for code in re.findall(r"`(\w+)`", codes)
    }
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    assert told == {
        (kind.http_status, kind.code)
        for kind in kinds
        if issubclass(kind, errors.DitServeError) and kind.code
    }
