"""`dit-serve generate --url`: pictures, clips, edits and tiers from a real server, and Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner

from deployments.cli import app
from deployments.clips import decode_clip
from tests.serve.server import Server
from tests.serve.test_images import PROMPT, generate

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

LISTENING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
"""A test runner may have been started with interrupts ignored, which children inherit."""

Run = Callable[..., Any]


@pytest.fixture
def run(server: Server, tmp_path: Path) -> Run:
    def invoke(*words: str, prompt: str = PROMPT) -> Any:
        command = ["generate", "--url", server.url, "--prompt", prompt, "--out", str(tmp_path)]
        return CliRunner().invoke(app, [*command, *words], env={"COLUMNS": "100"})

    return invoke


@contextmanager
def running(
    server: Server, folder: Path, *words: str, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own, which can be interrupted."""
    command = ["generate", "--url", server.url, "--prompt", PROMPT, "--out", str(folder), *words]
    code = f"{LISTENING}from deployments.cli import app; app()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(true: Callable[[], bool], within_s: float) -> None:
    give_up = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def busy(http: httpx.Client, model: str) -> bool:
    models = {each["model"]: each for each in http.get("/v1/status").json()["models"]}
    return any(pool["busy"] for pool in models[model]["pools"])


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_picture_is_that_of_the_api_and_the_receipt_is_told(
    run: Run, http: httpx.Client, tmp_path: Path
) -> None:
    shown = run("--tier", "fast", "--seed", "3", "--steps", "20")
    assert (shown.exit_code, shown.stderr) == (0, "")
    images, _ = generate(http, tier="fast", seed=3, num_inference_steps=20)
    assert (tmp_path / "fast.png").read_bytes() == images[0]
    made, tier, took, written = shown.stdout.splitlines()
    assert made == "128x128, seed 3, by shapes/cpu (single)"
    assert tier.startswith("tier fast: 8 of 20 steps computed; ")
    assert "s of work" in took
    assert written == f"Written to {tmp_path / 'fast.png'}"


def test_a_terminal_shows_the_steps(server: Server, tmp_path: Path) -> None:
    terminal = {"FORCE_COLOR": "1", "TTY_INTERACTIVE": "1", "TERM": "xterm"}
    with running(server, tmp_path, "--n", "8", "--tier", "none", **terminal) as command:
        printed, _ = command.communicate(timeout=60)
    assert command.returncode == 0
    steps = [int(step) for step in re.findall(r"step (\d+) of 224", printed)]
    assert 0 < steps[0] < steps[-1]


def test_several_pictures_have_numbers_and_a_deadline_its_outcome(run: Run, tmp_path: Path) -> None:
    shown = run("--tier", "none", "--n", "3", "--deadline-ms", "600000", "--size", "64x96")
    assert files_in(tmp_path) == {f"none-{index}.png" for index in range(3)}
    assert shown.stdout.startswith("3 of 64x96, seed 0")
    assert "; in time" in shown.stdout


def test_all_tiers_give_a_sheet_and_a_table_from_the_receipts(run: Run, tmp_path: Path) -> None:
    shown = run("--all-tiers", "--rounds", "2")
    tiers = ("none", "slow", "medium", "fast", "ultra")
    assert files_in(tmp_path) == {"sheet.png", *(f"{tier}.png" for tier in tiers)}
    rows = [line.split("│") for line in shown.stdout.splitlines() if "of 28" in line]
    assert [row[1].strip() for row in rows] == list(tiers)
    assert [row[2].split()[0] for row in rows] == ["28", "18", "15", "11", "8"]
    assert rows[0][5].strip() == "equal"
    assert 30 < float(rows[4][5]) < float(rows[1][5])


def test_an_edit_redraws_what_the_mask_leaves_open(run: Run, tmp_path: Path) -> None:
    run("--tier", "none")
    before, mask = tmp_path / "none.png", tmp_path / "mask.png"
    left = Image.new("RGBA", (128, 128), "black")
    left.paste((0, 0, 0, 0), (0, 0, 64, 128))
    left.save(mask)
    prompt = "a green triangle left of a blue square on a white background"
    files = ("--image", str(before), "--mask", str(mask))
    shown = run(*files, "--tier", "slow", prompt=prompt)
    assert (shown.exit_code, shown.stderr) == (0, "")
    one, other = (Image.open(tmp_path / name).convert("RGB") for name in ("none.png", "slow.png"))
    halves = [((0, 0, 64, 128)), ((72, 0, 128, 128))]
    redrawn, kept = (_differing(one.crop(half), other.crop(half)) for half in halves)
    assert redrawn > 10 * kept


def _differing(one: Image.Image, other: Image.Image) -> float:
    pairs = zip(one.tobytes(), other.tobytes(), strict=True)
    return sum(abs(a - b) for a, b in pairs) / (one.width * one.height)


def test_a_model_that_makes_videos_makes_a_job_whose_clip_is_written(
    run: Run, http: httpx.Client, tmp_path: Path
) -> None:
    shown = run("--model", "clips", "--seconds", "2", "--tier", "fast", "--steps", "200")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert files_in(tmp_path) == {"fast.mp4"}
    assert decode_clip((tmp_path / "fast.mp4").read_bytes()).shape == (9, 64, 64, 3)
    newest = http.get("/v1/videos", params={"limit": 1}).json()["data"][0]
    assert (newest["prompt"], newest["status"]) == (PROMPT, "completed")


def test_an_interrupt_stops_a_picture_on_the_server(
    server: Server, http: httpx.Client, tmp_path: Path
) -> None:
    with running(server, tmp_path, "--n", "8", "--steps", "100", "--tier", "none") as command:
        wait_until(lambda: busy(http, "shapes"), 30)
        os.kill(command.pid, signal.SIGINT)
        printed, told = command.communicate(timeout=30)
    assert (command.returncode, printed, told) == (130, "", "Cancelled.\n")
    wait_until(lambda: not busy(http, "shapes"), 5)
    assert files_in(tmp_path) == set()


def test_an_interrupt_cancels_a_clip_on_the_server(
    server: Server, http: httpx.Client, tmp_path: Path
) -> None:
    words = ("--model", "clips", "--steps", "2000", "--tier", "none")
    with running(server, tmp_path, *words) as command:
        wait_until(lambda: busy(http, "clips"), 30)
        os.kill(command.pid, signal.SIGINT)
        _, told = command.communicate(timeout=30)
    assert (command.returncode, told) == (130, "Cancelled.\n")
    newest = http.get("/v1/videos", params={"limit": 1}).json()["data"][0]
    assert newest["status"] == "cancelled"
    wait_until(lambda: not busy(http, "clips"), 5)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--size", "100x100"), "size: width and height are multiples of 16"),
        (("--model", "flux"), "no model 'flux' at http://"),
        (("--model", "clips", "--image", "README.md"), "is no picture that can be read"),
    ],
)
def test_a_no_of_the_server_is_one_line_and_exit_code_1(
    run: Run, words: tuple[str, ...], sentence: str
) -> None:
    shown = run(*words)
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert sentence in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_what_the_model_does_not_make_is_a_wrong_command(run: Run) -> None:
    for words, sentence in (
        (("--seconds", "2"), "--seconds: shapes makes pictures, not clips"),
        (("--model", "clips", "--n", "2"), "--n: clips makes one clip at a time"),
    ):
        shown = run(*words)
        assert (shown.exit_code, shown.stderr.strip()) == (2, sentence)
