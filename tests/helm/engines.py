"""Two Helm engines that render a chart offline: Helm 3, the program, and Helm 4, its library."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.helm.manifests import Manifest, parsed

CHART = Path("helm/dit-serve")
KUBE_VERSION = "1.32.0"
RELEASE = "studio"
NAMESPACE = "pictures"
RENDER_S = 60.0

NEEDED: Mapping[str, Any] = {"secrets": {"apiKeys": {"name": "api-keys"}}}
"""What every release must say: who may call. Values files say it themselves."""


class RenderError(Exception):
    """What an engine said instead of rendering."""


class Engine(Protocol):
    """Renders a chart with values files and, over them, values of a test."""

    name: str

    def render(
        self,
        files: Sequence[Path] = (),
        over: Mapping[str, Any] | None = None,
        *,
        release: str = RELEASE,
        chart: Path = CHART,
    ) -> list[Manifest]:
        """The objects of a release, hooks too, without its notes.

        Raises:
            RenderError: the values were refused, or a template failed.
        """
        ...


@dataclass(frozen=True)
class Helm3:
    """`helm template`."""

    program: Path
    name: str = "helm3"

    def render(
        self,
        files: Sequence[Path] = (),
        over: Mapping[str, Any] | None = None,
        *,
        release: str = RELEASE,
        chart: Path = CHART,
    ) -> list[Manifest]:
        values = over if files else _merged(NEEDED, over or {})
        text = self._run("template", release, str(chart), *_file_options(files), over=values)
        return parsed(text)

    def lint(self, files: Sequence[Path], chart: Path = CHART) -> str:
        """What `helm lint --strict` says of a chart that passes; else raises RenderError."""
        return self._run("lint", "--strict", str(chart), *_file_options(files))

    def _run(self, *arguments: str, over: Mapping[str, Any] | None = None) -> str:
        options = ["--namespace", NAMESPACE, "--values", "-"]
        if arguments[0] == "template":
            options += ["--kube-version", KUBE_VERSION]
        done = subprocess.run(
            [str(self.program), *arguments, *options],
            input=yaml.safe_dump(dict(over or {})),
            capture_output=True,
            text=True,
            timeout=RENDER_S,
            check=False,
        )
        if done.returncode:
            raise RenderError(done.stderr + done.stdout)
        return done.stdout


@dataclass(frozen=True)
class Helm4:
    """The library within helm-python-sdk."""

    name: str = "helm4"

    def render(
        self,
        files: Sequence[Path] = (),
        over: Mapping[str, Any] | None = None,
        *,
        release: str = RELEASE,
        chart: Path = CHART,
    ) -> list[Manifest]:
        import helm_python
        from helm_python import _native

        values: dict[str, Any] = {} if files else dict(NEEDED)
        for file in files:
            values = _merged(values, helm_python.values_from_yaml(file.read_text()))
        values = _merged(values, over or {})
        # Chart.render takes no version of Kubernetes, which the function below it does.
        options = {"name": release, "namespace": NAMESPACE, "kube_version": f"v{KUBE_VERSION}"}
        try:
            with helm_python.Chart.load(chart) as loaded:
                rendered = _native.call_string(
                    "helm_render", loaded._raw(), json.dumps(values), json.dumps(options)
                )
        except helm_python.HelmError as error:
            raise RenderError(str(error)) from error
        texts = {
            path: text for path, text in json.loads(rendered).items() if path.endswith(".yaml")
        }
        return [manifest for text in texts.values() for manifest in parsed(text)]


def _file_options(files: Sequence[Path]) -> list[str]:
    return [option for file in files for option in ("--values", str(file))]


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Maps are merged key by key, everything else is replaced, as Helm does with values files."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(below, value) if both else value
    return result
