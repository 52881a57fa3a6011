"""The Serve config within the RayService: what the values say, and a config that the code takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helm.conftest import Rendered, values_file
from tests.helm.engines import CHART, Engine
from tests.helm.manifests import Manifest, pod_templates, ray_service, read_yaml, serve_config

LARGE = {
    "settings": {"max_upload_bytes": 10_000_000_000, "max_body_bytes": 1_234_567},
    "models": [
        {
            "name": "shapes",
            "source": "demo/weights",
            "default_size": "128x128",
            "default_strength": 0.25,
            "max_backlog_s": 0.5,
            "max_queued": 20_000_000,
            "limits": {"max_side": 16_777_216, "max_pixels": 281_474_976_710_656},
            "pools": [{"name": "cpu", "device": "cpu", "dtype": "float32"}],
        }
    ],
}


def test_models_are_those_of_the_values(case: str, objects: list[Manifest]) -> None:
    assert _exact(_args(objects)["models"]) == _exact(_values(case)["models"])


def test_settings_are_those_of_the_values(case: str, objects: list[Manifest]) -> None:
    args = _args(objects)
    for key, value in _values(case)["settings"].items():
        assert _exact(args[key]) == _exact(value), key


@pytest.mark.parametrize("engine", ["helm3", "helm4"])
def test_large_numbers_stay_whole(engines: dict[str, Engine], engine: str) -> None:
    """Helm reads numbers as floating point, which YAML writes as 1e+10."""
    args = _args(engines[engine].render(over=LARGE))
    assert _exact(args["models"]) == _exact(LARGE["models"])
    assert args["max_upload_bytes"] == 10_000_000_000
    assert type(args["max_upload_bytes"]) is int


def test_it_stands_where_kuberay_and_the_services_look(objects: list[Manifest]) -> None:
    config = serve_config(objects)
    # Elsewhere than on all addresses, no service would reach the proxies.
    assert config["http_options"] == {"host": "0.0.0.0", "port": 8000}
    # A node without a proxy never becomes ready: KubeRay probes each worker's.
    assert config["proxy_location"] == "EveryNode"
    (application,) = config["applications"]
    assert application["name"] == "dit-serve"
    assert application["route_prefix"] == "/"
    assert application["import_path"] == "deployments.app:build_app"


@pytest.mark.filterwarnings("ignore")
def test_the_check_command_takes_it(objects: list[Manifest], tmp_path: Path) -> None:
    """It holds Serve's own keys against Serve's schema, and ours against the code's."""
    from deployments.check import checked_file  # Ray warns at import, of things not ours to mend.

    file = tmp_path / "config.yaml"
    file.write_text(ray_service(objects)["spec"]["serveConfigV2"])
    assert checked_file(file).config.models


def test_the_database_comes_from_the_environment(rendered: Rendered) -> None:
    objects = rendered("locked-down")
    database = _args(objects)["database_url"]
    assert database.startswith("env:")
    (worker, *_) = [t for name, t in pod_templates(objects).items() if name != "head"]
    (variable,) = [
        v
        for v in worker["spec"]["containers"][0]["env"]
        if v["name"] == database.removeprefix("env:")
    ]
    assert variable["valueFrom"]["secretKeyRef"]["name"]


def _args(objects: list[Manifest]) -> dict[str, Any]:
    return serve_config(objects)["applications"][0]["args"]


def _values(case: str) -> dict[str, Any]:
    """The chart's values with those of a file over them; models are a list and replaced whole."""
    defaults = read_yaml((CHART / "values.yaml").read_text())
    own = read_yaml(values_file(case).read_text()) or {}
    return {
        "models": own.get("models", defaults["models"]),
        "settings": {**defaults["settings"], **own.get("settings", {})},
    }


def _exact(value: Any) -> str:
    """As text, in which 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)
