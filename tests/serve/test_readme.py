"""Every example of the README runs as it stands, against a server at another port."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.serve.server import Server

pytestmark = pytest.mark.ray

README = Path("README.md").read_text()
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", README, re.DOTALL)
SHELL = [code for language, code in BLOCKS if language == "bash"]
PYTHON = [code for language, code in BLOCKS if language == "python"]


def run(command: list[str], folder: Path, **environment: str) -> str:
    finished = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | environment,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-3000:]
    return finished.stdout


def size_of(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


def test_the_first_page_has_its_two_commands() -> None:
    assert SHELL[0] == "make serve\nmake test\n"
    makefile = Path("Makefile").read_text()
    assert re.search(r"^serve:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)


def test_the_studio_is_where_the_first_page_says(server: Server) -> None:
    (url,) = re.findall(r"\[the studio\]\(\S+\) is at (http://127\.0\.0\.1:8000/)", README)
    answer = httpx.get(url.replace("http://127.0.0.1:8000", server.url))
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/html")


def test_the_curl_line_writes_a_picture(server: Server, tmp_path: Path) -> None:
    line = next(code for code in SHELL if code.startswith("curl") and "circle.png" in code)
    line = line.replace("http://127.0.0.1:8000", server.url).replace("python3", sys.executable)
    assert '"tier_served": "fast"' in run(["bash", "-c", line], tmp_path)
    assert size_of(tmp_path / "circle.png") == (128, 128)


def test_the_line_with_a_deadline_is_answered_in_time(server: Server, tmp_path: Path) -> None:
    (line,) = [code for code in SHELL if code.startswith("curl") and "deadline_ms" in code]
    line = line.replace("http://127.0.0.1:8000", server.url)
    receipt = json.loads(run(["bash", "-c", line], tmp_path))["receipt"]
    assert receipt["tier_served"] in ("none", "slow", "medium", "fast")
    assert receipt["deadline_met"] is True


def test_the_simulate_line_shows_both_policies() -> None:
    (line,) = [code for code in SHELL if "dit-serve simulate" in code]
    folder = Path(sys.executable).parent
    printed = run(["bash", "-c", line.replace(".venv/bin", str(folder))], Path.cwd())
    assert "ours" in printed
    assert "power-of-two+fits" in printed


def test_the_openai_example_writes_five_pictures(server: Server, tmp_path: Path) -> None:
    (code,) = [code for code in PYTHON if "openai" in code]
    code = code.replace("http://127.0.0.1:8000", server.url)
    printed = run([sys.executable, "-c", code], tmp_path)
    assert len(printed.splitlines()) == 5
    assert len(list(tmp_path.glob("star-*.png"))) == 5


def test_the_handle_example_writes_a_picture(server: Server, tmp_path: Path) -> None:
    (code,) = [code for code in PYTHON if "get_app_handle" in code]
    printed = run(
        [sys.executable, "-c", code],
        tmp_path,
        RAY_ADDRESS=server.ray_address(),
    )
    assert "tier_served='ultra'" in printed
    assert size_of(tmp_path / "triangle.png") == (128, 128)


def test_the_generate_line_writes_five_pictures_and_a_sheet(tmp_path: Path) -> None:
    (line,) = [code for code in SHELL if "dit-serve generate" in code]
    command = shutil.which("dit-serve", path=str(Path(sys.executable).parent))
    line = line.replace(".venv/bin/dit-serve", command or "").replace(
        "--out out", f"--out {tmp_path}"
    )
    printed = run(["bash", "-c", f"{line.strip()} --rounds 1"], Path.cwd())
    assert "speed-up" in printed
    assert {file.stem for file in tmp_path.glob("*.png")} == {
        *("none", "slow", "medium", "fast", "ultra"),
        "sheet",
    }


def test_the_check_and_plan_lines_run() -> None:
    (block,) = [code for code in SHELL if "dit-serve check" in code]
    (pasted,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    folder = Path(sys.executable).parent
    printed = [
        run(["bash", "-c", line.replace(".venv/bin", str(folder))], Path.cwd(), COLUMNS="160")
        for line in block.splitlines()[:2]
    ]
    assert printed[1] == pasted
