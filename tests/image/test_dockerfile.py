"""What the Dockerfile promises to those who run its images, and to a cluster."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath

import pytest
import yaml

from cluster.load import load_config
from deployments import launch, options, proxy_bounds
from tests.image.dockerfile import Instruction, Stage

IMAGES = ("cpu", "cuda")
TEXT = Path("Dockerfile").read_text()
PROJECT = tomllib.loads(Path("pyproject.toml").read_text())["project"]
DOCUMENT = Path("docs/image.md").read_text()


@pytest.fixture(params=IMAGES)
def image(request: pytest.FixtureRequest, dockerfile: dict[str, Stage]) -> Stage:
    return dockerfile[request.param]


def system(dockerfile: dict[str, Stage], image: Stage) -> str:
    """The commands that set up what an image stands on."""
    return dockerfile[image.base].last("RUN").text


def test_without_a_target_a_build_makes_the_image_for_clusters(
    dockerfile: dict[str, Stage],
) -> None:
    assert list(dockerfile)[-2:] == ["cpu", "cuda"]


def test_both_images_are_the_same_but_for_their_packages(dockerfile: dict[str, Stage]) -> None:
    def rest(stage: Stage) -> list[Instruction]:
        return [each for each in stage.instructions if each.flag("from") is None]

    assert rest(dockerfile["cpu"]) == rest(dockerfile["cuda"])


def test_base_images_are_pinned_to_one_release(dockerfile: dict[str, Stage]) -> None:
    for stage in dockerfile.values():
        if stage.base not in dockerfile:
            assert re.fullmatch(r"[\w/.-]+:\d+\.\d+\.\d+-[\w.-]+", stage.base)


def test_nothing_is_fetched_but_by_package_managers(dockerfile: dict[str, Stage]) -> None:
    for stage in dockerfile.values():
        assert stage.all("ADD") == []
        for run in stage.all("RUN"):
            assert re.findall(r"\b(?:curl|wget|git)\b(?= +-| +\w+:)", run.text) == []
            assert re.findall(r"\w+://", run.text) == []


def test_no_variable_is_for_a_secret(dockerfile: dict[str, Stage]) -> None:
    for stage in dockerfile.values():
        names = [*stage.variables(), *(arg.text.partition("=")[0] for arg in stage.all("ARG"))]
        assert [name for name in names if re.search("KEY|TOKEN|SECRET|PASS|CREDENTIAL", name)] == []


def test_what_dit_serve_up_tells_its_processes_the_images_tell_theirs(image: Stage) -> None:
    told = launch.VARIABLES | options.VARIABLES | proxy_bounds.VARIABLES
    assert told.items() <= image.variables().items()


def test_every_extra_that_users_need_is_in_it(dockerfile: dict[str, Stage]) -> None:
    extras = set(PROJECT["optional-dependencies"]) - {"dev"}
    for image in IMAGES:
        installs = dockerfile[f"{image}-packages"].last("RUN").text
        found = re.search(r"runtime_requirements\.py ([\w ]+?) >", installs)
        assert found is not None
        assert set(found[1].split()) == extras


def test_an_unknown_extra_is_named() -> None:
    finished = subprocess.run(
        [sys.executable, "docker/runtime_requirements.py", "s4"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("pyproject.toml: no extra s4; there are postgres, s3")


def test_pins_do_not_contradict_each_other() -> None:
    locked, more = (
        dict(re.findall(r"^([\w.-]+)==(\S+)$", Path(file).read_text(), re.MULTILINE))
        for file in ("requirements.lock", "docker/constraints.txt")
    )
    assert {name: more[name] for name in locked.keys() & more} == {
        name: locked[name] for name in locked.keys() & more
    }


def test_it_does_not_run_as_root(dockerfile: dict[str, Stage], image: Stage) -> None:
    user = image.last("USER").text
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "Kubernetes tells root from others by numbers"
    uid, gid = user.split(":")
    assert f"groupadd --gid {gid} ray" in system(dockerfile, image)
    assert f"useradd --uid {uid} --gid {gid}" in system(dockerfile, image)


def test_what_is_written_to_belongs_to_its_user(dockerfile: dict[str, Stage], image: Stage) -> None:
    found = re.search(
        r"install --directory --owner=ray --group=ray ([^&]+)", system(dockerfile, image)
    )
    assert found is not None
    variables = image.variables()
    writable = {"/tmp", variables["HOME"], *found[1].split()}
    assert set(re.findall(r"^\| `(/[\w/]+)` \|", DOCUMENT, re.MULTILINE)) == writable

    workdir = PurePosixPath(image.last("WORKDIR").text)
    config = load_config(Path("configs/demo.yaml"))
    written = [
        PurePosixPath(variables["HF_HOME"]),
        workdir / config.results.url,
        workdir / config.database_url.removeprefix("sqlite:///"),
    ]
    for path in written:
        assert any(path.is_relative_to(each) for each in writable), path


def test_the_configs_are_checked_by_who_will_run_them(image: Stage) -> None:
    user, check = image.instructions.index(image.last("USER")), image.last("RUN")
    assert check.text == "dit-serve check configs/*.yaml"
    assert image.instructions.index(check) > user


def test_it_serves_the_demo_to_the_outside(image: Stage) -> None:
    command = [*image.last("ENTRYPOINT").words(), *image.last("CMD").words()]
    assert command[:4] == ["tini", "--", "dit-serve", "up"]
    assert command[command.index("--host") + 1] == "0.0.0.0"
    port = yaml.safe_load(Path(command[4]).read_text())["http_options"]["port"]
    assert image.last("EXPOSE").text == str(port)


def test_what_kuberay_runs_in_a_pod_is_there(dockerfile: dict[str, Stage], image: Stage) -> None:
    installs, _, rest = system(dockerfile, image).partition("&& rm -rf")
    assert {"tini", "wget"} <= set(installs.split())
    assert "PATH=/opt/venv/bin:" in rest
    assert "/etc/profile.d/" in rest
    assert image.variables()["PATH"].startswith("/opt/venv/bin:")


def test_labels_tell_what_it_is(image: Stage) -> None:
    labels = image.labels()
    assert labels["org.opencontainers.image.title"] == PROJECT["name"]
    assert labels["org.opencontainers.image.description"] == PROJECT["description"]
    assert labels["org.opencontainers.image.licenses"] == PROJECT["license"]
    assert labels["org.opencontainers.image.version"] == "${VERSION}"
    assert labels["org.opencontainers.image.source"] == "${SOURCE}"
    assert Instruction("ARG", (), f"VERSION={PROJECT['version']}") in image.all("ARG")


@pytest.fixture
def health() -> Iterator[HTTPServer]:
    """A server whose `status` attribute is what it answers at /health."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(self.server.status if self.path == "/health" else 404)  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_asks_the_server(
    image: Stage, health: HTTPServer, status: int, healthy: bool
) -> None:
    health.status = status  # type: ignore[attr-defined]
    command = image.last("HEALTHCHECK").text.removeprefix("CMD ")
    words = Instruction("CMD", (), command.replace("8000", str(health.server_port))).words()
    finished = subprocess.run(
        [sys.executable, *words[1:]], capture_output=True, timeout=30, check=False
    )
    assert (finished.returncode == 0) == healthy


@pytest.mark.parametrize(("target", "stage"), [("image", "cuda"), ("image-cpu", "cpu")])
def test_make_builds_each(target: str, stage: str) -> None:
    said = subprocess.run(
        ["make", "--dry-run", target], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    assert f"docker build --target {stage} " in said
    assert f"VERSION={PROJECT['version']}" in said
