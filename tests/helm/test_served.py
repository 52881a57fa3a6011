"""What pods run of the code: the least cluster's Serve config, the pod of `helm test`, the hook."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from PIL import Image

from cluster.keys import Scope
from deployments.key_file import KeyFile
from deployments.key_store import new_key
from tests.helm.conftest import Rendered
from tests.helm.manifests import Manifest, one, pod_templates, serve_config
from tests.serve.server import Server, serving, stop

ASK_S = 60.0


@pytest.fixture(scope="module")
def least(rendered: Rendered) -> list[Manifest]:
    return rendered("minimal-cpu")


def test_the_hook_is_a_command_of_ours(least: list[Manifest]) -> None:
    (hook,) = [
        template["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        for name, template in pod_templates(least).items()
        if name != "head"
    ]
    program, command, *options = hook
    assert program == "dit-serve"
    said = subprocess.run(
        [sys.executable, "-m", "deployments", command, "--help"],
        capture_output=True,
        text=True,
        timeout=ASK_S,
        check=True,
        env=os.environ | {"COLUMNS": "200"},
    ).stdout
    assert all(option in said for option in options[::2])


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the secret with the list of keys, and a key beside it."""
    folder = tmp_path_factory.mktemp("secret")
    text, kept = new_key("helm test", [Scope.GENERATE], datetime.now(UTC), None)
    KeyFile(str(folder / "keys.yaml")).add(kept)
    (folder / "key").write_text(text)
    return folder


@pytest.fixture
def key(secret: Path) -> str:
    return (secret / "key").read_text()


@pytest.fixture(scope="module")
def server(
    least: list[Manifest], secret: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The chart's Serve config on a Ray of this machine.

    All addresses would open the machine, so it listens on loopback, at a port that `serving` finds.
    The secret is mounted nowhere here. All else is as the chart wrote it.
    """
    config = serve_config(least)
    config["http_options"]["host"] = "127.0.0.1"
    auth = config["applications"][0]["args"]["auth"]
    (worker,) = [each for name, each in pod_templates(least).items() if name != "head"]
    (mount,) = [
        each["mountPath"]
        for each in worker["spec"]["containers"][0]["volumeMounts"]
        if each["name"] == "api-keys"
    ]
    auth["keys_file"] = auth["keys_file"].replace(mount, str(secret))
    folder = tmp_path_factory.mktemp("least")
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    with serving(file, folder) as running:
        yield running
        _, left = stop(running)
        assert left == {}


@pytest.mark.ray
def test_the_least_cluster_makes_a_picture_for_a_key(server: Server, key: str) -> None:
    asked = {"url": "/v1/images/generations", "json": {"prompt": "a red circle"}}
    with server.client() as http:
        assert http.get("/ready").status_code == 200
        assert http.post(**asked).status_code == 401
        answer = http.post(**asked, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    picture = base64.b64decode(answer.json()["data"][0]["b64_json"])
    assert Image.open(io.BytesIO(picture)).format == "PNG"


@pytest.mark.ray
def test_helm_test_passes_there_and_fails_for_another_model_or_key(
    server: Server, least: list[Manifest], key: str
) -> None:
    passed = _helm_test(least, server, DIT_SERVE_API_KEY=key)
    assert passed.returncode == 0, passed.stderr
    assert "a PNG of" in passed.stdout
    failed = _helm_test(least, server, DIT_SERVE_API_KEY=key, MODEL="other")
    assert failed.returncode == 1
    assert "other is not served" in failed.stderr
    refused = _helm_test(least, server, DIT_SERVE_API_KEY=f"{key}x")
    assert refused.returncode == 1
    assert "/v1/models answered 401" in refused.stderr


@pytest.mark.ray
def test_helm_test_without_a_key_asks_whether_it_is_ready_and_says_so(
    server: Server, least: list[Manifest]
) -> None:
    passed = _helm_test(least, server)
    assert passed.returncode == 0, passed.stderr
    assert "ready: {'shapes': {'cpu': 1}}" in passed.stdout
    assert "no picture was asked for" in passed.stdout


def _helm_test(
    objects: list[Manifest], server: Server, **over: str
) -> subprocess.CompletedProcess[str]:
    """Runs the container of the chart's test pod here, against that server; secrets are `over`."""
    (container,) = one(objects, "Pod")["spec"]["containers"]
    program, *arguments = container["command"]
    assert program == "python"
    variables = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=ASK_S,
        check=False,
        env=variables | {"BASE_URL": server.url} | over,
    )
