"""`dit-serve generate`: wrong commands, servers that are not there or strange, and its tables."""

from __future__ import annotations

import _thread
import io
import json
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from cluster.receipt import Receipt
from cluster.tiers import Tier
from deployments import cli_generate, remote_http
from deployments.cli import app
from deployments.cli_generate import EXAMPLES
from deployments.receipt_lines import receipt_lines
from deployments.tier_rows import Made, tier_rows

pytestmark = pytest.mark.filterwarnings("ignore")

MODELS = {
    "data": [
        {"id": "shapes", "tasks": ["text-to-image"], "tiers": ["none", "fast"]},
        {"id": "clips", "tasks": ["text-to-video"], "tiers": ["none", "fast"]},
    ]
}
RECEIPT = {
    "request_id": "img_1",
    "model": "shapes",
    "pool": "cpu",
    "tier_requested": "auto",
    "tier_served": "fast",
    "tier_reason": "fast keeps all deadlines",
    "num_inference_steps": 28,
    "steps_computed": 11,
    "steps_cached": 17,
    "seed": 0,
    "n": 1,
    "width": 128,
    "height": 128,
    "parallelism": "single",
    "quantization": None,
    "forecast_s": 0.2,
    "queue_s": 0.5,
    "encode_s": 0.1,
    "denoise_s": 0.2,
    "decode_s": 0.1,
    "total_s": 0.9,
    "deadline_met": True,
    "attempts": 1,
    "config_hash": "0" * 12,
    "notes": ["a note"],
}
CLIP_RECEIPT = RECEIPT | {"model": "clips"}


@dataclass(frozen=True)
class Answer:
    """What a strange server says; a status of 0 hangs up."""

    body: Any
    status: int = 200
    kind: str = "application/json"

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Strange:
    """Its address, what it answers on each route in turn, and what it was sent.

    When one of `interrupts` is asked for the first time, somebody presses Ctrl-C.
    """

    url: str
    interrupts: list[str] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Strange]:
    """A server that answers as a test says; the last answer of a route stays."""
    monkeypatch.setattr(remote_http, "AGAIN_S", 0.01)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            route = f"{self.command} {self.path}"
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.sent.append((route, dict(self.headers)))
            left = server.answers.get(route, [Answer({}, 404)])
            answer = left.pop(0) if len(left) > 1 else left[0]
            if route in server.interrupts:
                server.interrupts.remove(route)
                _thread.interrupt_main()
            if not answer.status:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that was interrupted leaves before its answer is written."""
            assert isinstance(sys.exception(), ConnectionError)

    with Server(("127.0.0.1", 0), Handler) as http:
        server = Strange(f"http://127.0.0.1:{http.server_address[1]}")
        server.answers["GET /v1/models"] = [Answer(MODELS)]
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield server
        http.shutdown()
        thread.join()


def generate(tmp_path: Path, *words: str, **environment: str) -> Any:
    command = ["generate", "--prompt", "a red circle", "--out", str(tmp_path), *words]
    return CliRunner().invoke(app, command, env={"COLUMNS": "120"} | environment)


def stream(*events: tuple[str, Mapping[str, Any]]) -> Answer:
    lines = [f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events]
    return Answer("".join(lines).encode(), kind="text/event-stream")


def video(status: str, **facts: Any) -> Answer:
    whole = {"id": "video_1", "status": status, "progress": 0, "error": None, "receipt": None}
    return Answer(whole | facts)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--n", "2"], "--n is for a server; name it with --url"),
        (["--deadline-ms", "5"], "--deadline-ms is for a server; name it with --url"),
        (["--image", "README.md"], "--image is for a server; name it with --url"),
        (["--mask", "README.md"], "--mask is for a server; name it with --url"),
        (["--seconds", "2"], "--seconds is for a server; name it with --url"),
        (["--url", "127.0.0.1:8000"], "--url: '127.0.0.1:8000' is no address such as"),
        (["--url", "ftp://host"], "--url: 'ftp://host' is no address such as"),
        (["--url", "http://h", "--config", "x.yaml"], "--config is for this process"),
        (["--url", "http://h", "--rounds", "2"], "--rounds: only --all-tiers"),
        (["--url", "http://h", "--all-tiers", "--tier", "fast"], "leave out --tier and --n"),
        (["--url", "http://h", "--all-tiers", "--n", "2"], "leave out --tier and --n"),
        (["--url", "http://h", "--mask", "README.md"], "--mask: there is no --image"),
        (["--url", "http://h", "--image", "no.png"], "--image: no.png cannot be read: No such"),
        (["--url", "http://h", "--out", "README.md/x"], "--out: README.md/x cannot be made: Not"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(
    tmp_path: Path, words: list[str], sentence: str
) -> None:
    shown = generate(tmp_path, *words)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert sentence in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_a_server_that_is_not_there_is_named_with_its_address(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        shown = generate(tmp_path, "--url", url)
    assert shown.exit_code == 1
    assert shown.stderr.startswith(f"no server answers at {url}: ")
    assert len(shown.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(b"<h1>Bad gateway</h1>", 502, "text/html"), "/v1/models answers 502 Bad Gateway"),
        (Answer({"data": [{"id": "gpt"}]}), "does not answer as dit-serve does"),
        (Answer(b"hello", 200, "text/plain"), "does not answer as dit-serve does"),
        (Answer({"error": {"message": "no such key"}}, 401), "no such key"),
        (Answer(b"", 0), "the connection to "),
    ],
)
def test_a_server_that_answers_strangely_is_one_line_and_exit_code_1(
    tmp_path: Path, strange: Strange, answer: Answer, sentence: str
) -> None:
    strange.answers["GET /v1/models"] = [answer]
    shown = generate(tmp_path, "--url", strange.url)
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert sentence in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_the_key_is_sent_as_a_bearer_token_and_comes_from_the_variable_alone(
    tmp_path: Path, strange: Strange
) -> None:
    generate(tmp_path, "--url", f"{strange.url}/", DIT_SERVE_API_KEY="from-variable")
    generate(tmp_path, "--url", strange.url)
    keys = [headers.get("Authorization") for route, headers in strange.sent if "models" in route]
    assert keys == ["Bearer from-variable", None]
    assert generate(tmp_path, "--url", strange.url, "--api-key", "x").exit_code == 2


def test_a_key_that_is_none_is_told_without_it(tmp_path: Path) -> None:
    shown = generate(tmp_path, "--url", "http://h", DIT_SERVE_API_KEY="secret\nb")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr == "DIT_SERVE_API_KEY: has a character that no key has\n"


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ((), "ended the stream before there was a picture"),
        (
            [
                ("image_generation.progress", {"state": "queued", "step": 0, "steps": 0}),
                ("error", {"error": {"message": "2 replicas died on this request"}}),
            ],
            "2 replicas died on this request",
        ),
    ],
)
def test_a_stream_without_a_picture_is_an_error_with_its_reason(
    tmp_path: Path,
    strange: Strange,
    events: Sequence[tuple[str, Mapping[str, Any]]],
    sentence: str,
) -> None:
    strange.answers["POST /v1/images/generations"] = [stream(*events)]
    shown = generate(tmp_path, "--url", strange.url)
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert sentence in shown.stderr


def test_what_a_later_server_adds_to_the_receipt_does_no_harm(
    tmp_path: Path, strange: Strange
) -> None:
    done = {"b64_json": "UE5H", "output_format": "png", "receipt": RECEIPT | {"watts": 300}}
    strange.answers["POST /v1/images/generations"] = [stream(("image_generation.completed", done))]
    shown = generate(tmp_path, "--url", strange.url)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert (tmp_path / "fast.png").read_bytes() == b"PNG"


def test_a_clip_is_waited_for_while_its_server_is_gone(
    tmp_path: Path, strange: Strange, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, force_interactive=True, width=100)
    monkeypatch.setattr(cli_generate, "out", terminal)
    gone = [Answer(b"", 0), Answer({"error": {"message": "no replica"}}, 503), Answer(b"", 502)]
    strange.answers |= {
        "POST /v1/videos": [*gone, video("queued")],
        "GET /v1/videos/video_1": [
            *gone,
            video("in_progress", progress=40),
            video("completed", progress=100, receipt=CLIP_RECEIPT),
        ],
        "GET /v1/videos/video_1/content": [*gone, Answer(b"....ftyp")],
    }
    shown = generate(tmp_path, "--url", strange.url, "--model", "clips")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "40 %" in terminal.file.getvalue()  # type: ignore[attr-defined]
    assert (tmp_path / "fast.mp4").read_bytes() == b"....ftyp"
    keys = {
        headers["Idempotency-Key"] for route, headers in strange.sent if route == "POST /v1/videos"
    }
    assert len(keys) == 1


def test_a_server_that_stays_away_is_given_up(
    tmp_path: Path, strange: Strange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_http, "PATIENCE_S", 0.05)
    strange.answers["POST /v1/videos"] = [Answer({"error": {"message": "no replica runs"}}, 503)]
    shown = generate(tmp_path, "--url", strange.url, "--model", "clips")
    assert (shown.exit_code, shown.stderr.strip()) == (1, "no replica runs")


@pytest.mark.parametrize("where", ["POST /v1/videos", "GET /v1/videos/video_1"])
def test_an_interrupt_cancels_a_clip_whenever_it_comes(
    tmp_path: Path, strange: Strange, where: str
) -> None:
    cancel = "POST /v1/videos/video_1/cancel"
    strange.interrupts.append(where)
    strange.answers |= {
        "POST /v1/videos": [video("queued")],
        "GET /v1/videos/video_1": [video("in_progress")],
        cancel: [video("cancelled")],
    }
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        shown = generate(tmp_path, "--url", strange.url, "--model", "clips")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (shown.exit_code, shown.stderr) == (130, "Cancelled.\n")
    routes = [route for route, _ in strange.sent]
    assert routes[-1] == cancel
    made = {h["Idempotency-Key"] for route, h in strange.sent if route == "POST /v1/videos"}
    assert len(made) == 1


def test_a_clip_that_fails_or_is_cancelled_elsewhere_says_so(
    tmp_path: Path, strange: Strange
) -> None:
    strange.answers["POST /v1/videos"] = [
        video("failed", error={"code": "engine_failed", "message": "out of memory"}),
        video("cancelled"),
    ]
    for sentence in ("video_1: out of memory", "video_1: it was cancelled"):
        shown = generate(tmp_path, "--url", strange.url, "--model", "clips")
        assert (shown.exit_code, shown.stderr.strip()) == (1, sentence)


def test_help_shows_examples_that_are_right() -> None:
    shown = CliRunner().invoke(app, ["generate", "--help"], env={"COLUMNS": "80"}).stdout
    for line in EXAMPLES.strip().splitlines():
        assert line in shown
    commands = EXAMPLES.replace("\\\n", " ").strip().splitlines()
    generate_command: Any = typer.main.get_command(app).commands["generate"]  # type: ignore[attr-defined]
    for command in filter(None, commands):
        assert command.startswith("dit-serve generate ")
        generate_command.make_context("generate", shlex.split(command)[2:])


def test_a_receipt_is_told_in_a_few_lines() -> None:
    receipt = Receipt.model_validate(RECEIPT, strict=False)
    assert list(receipt_lines(receipt)) == [
        "128x128, seed 0, by shapes/cpu (single)",
        "tier fast: 11 of 28 steps computed; fast keeps all deadlines",
        "0.50 s in line, 0.40 s of work (forecast 0.20 s); in time",
        "a note",
    ]
    late = receipt.model_copy(update={"deadline_met": False, "forecast_s": None, "attempts": 2})
    assert list(receipt_lines(late))[2:4] == [
        "0.50 s in line, 0.40 s of work; late",
        "begun 2 times, as replicas died",
    ]


def test_tiers_are_compared_with_none_where_it_is_among_them() -> None:
    made = {
        tier: Made(_gray(value), "png", 8, 28, seconds)
        for tier, value, seconds in ((Tier.NONE, 100, 0.8), (Tier.ULTRA, 110, 0.2))
    }
    best, least = tier_rows(made, "a prompt", lambda prompt, picture: (len(prompt), 9))
    assert (best.speed_up, best.psnr_db) == (1.0, float("inf"))
    assert least.speed_up == pytest.approx(4)
    assert least.psnr_db == pytest.approx(28.13, abs=0.01)
    assert (least.picture.size, least.adherence) == ((32, 16), (8, 9))
    (alone,) = tier_rows({Tier.ULTRA: made[Tier.ULTRA]}, "a prompt")
    assert (alone.speed_up, alone.psnr_db, alone.adherence) == (None, None, None)


def _gray(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 16), (value,) * 3).save(file, "PNG")
    return file.getvalue()
