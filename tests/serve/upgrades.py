"""What a test and a benchmark of upgrades do alike: a steady load, and changes under it."""

from __future__ import annotations

import copy
import hashlib
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import yaml

from cluster.config import config_hash
from cluster.load import validate_args
from tests.serve.faults import PROMPT, until
from tests.serve.server import Server, serving, write_config

APP = "dit-serve"
SEED = 5
STEPS = 12
DEPLOY_S = 60.0
SETTLE_S = 120.0
ROOM = '{"CPU": 16}'
"""The machine is told to be larger than it is, so that there is room for another replica."""

CAREFUL = {"name": "careful", "tiers": ["none", "slow"]}
QUICK = {"name": "quick", "tiers": ["fast", "ultra"]}
TIERS = ("none", "ultra")
"""One of each of the two pools."""


@dataclass(frozen=True)
class Answer:
    """One request of the steady load; `fault` says what was wrong with it, empty if nothing.

    Times are on the monotonic clock.
    """

    tier: str
    began_s: float
    ended_s: float
    fault: str = ""
    pool: str = ""
    config_hash: str = ""
    attempts: int = 0
    picture: str = ""


class SteadyLoad:
    """Callers that ask one request after another, each for its tier, until they are stopped."""

    def __init__(self, server: Server, callers: int, tiers: Sequence[str] = TIERS) -> None:
        self._server = server
        self._over = threading.Event()
        self.answers: list[Answer] = []
        self._callers = [
            threading.Thread(target=self._call, args=(tiers[each % len(tiers)],), daemon=True)
            for each in range(callers)
        ]

    def __enter__(self) -> SteadyLoad:
        for caller in self._callers:
            caller.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._over.set()
        for caller in self._callers:
            caller.join(SETTLE_S)
            assert not caller.is_alive(), "a request is never answered"

    def since(self, began_s: float) -> list[Answer]:
        """What was answered after that time, in its order."""
        return [each for each in list(self.answers) if each.ended_s >= began_s]

    def _call(self, tier: str) -> None:
        with self._server.client() as client:
            while not self._over.is_set():
                self.answers.append(asked(client, tier))


def asked(client: httpx.Client, tier: str) -> Answer:
    """One request for a picture, whatever becomes of it."""
    began_s = time.monotonic()
    body = {"prompt": PROMPT, "seed": SEED, "tier": tier, "num_inference_steps": STEPS}
    try:
        answer = client.post("/v1/images/generations", json=body)
    except httpx.HTTPError as error:
        return Answer(tier, began_s, time.monotonic(), fault=repr(error))
    if answer.status_code != 200:
        return Answer(tier, began_s, time.monotonic(), fault=answer.text)
    told = answer.json()
    receipt, (picture,) = told["receipt"], told["data"]
    digest = hashlib.sha256(picture["b64_json"].encode()).hexdigest()[:12]
    where = receipt["pool"], receipt["config_hash"], receipt["attempts"]
    return Answer(tier, began_s, time.monotonic(), "", *where, digest)


@dataclass(frozen=True)
class Upgraded:
    """A cluster of two pools that can be given other configs."""

    server: Server
    folder: Path
    token: str

    def deploy(self, args: Mapping[str, Any], **application: Any) -> float:
        """`serve deploy` of these args; the time at which Serve had them."""
        document = _document(self.folder / "config.yaml", args)
        document["applications"][0] |= application
        path = self.folder / "next.yaml"
        path.write_text(yaml.safe_dump(document))
        command = [str(Path(sys.executable).parent / "serve"), "deploy", str(path)]
        environment = {
            "RAY_DASHBOARD_ADDRESS": self.server.dashboard_url(),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
        }
        told = subprocess.run(
            command,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=DEPLOY_S,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        return time.monotonic()

    def status(self) -> dict[str, Any]:
        """What Serve says of the application."""
        answer = httpx.get(
            f"{self.server.dashboard_url()}/api/serve/applications/",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )
        answer.raise_for_status()
        return dict(answer.json()["applications"][APP])

    def wait(self, status: str, also: Callable[[], bool] = lambda: True) -> float:
        """Until the application has that status; the seconds that it took."""
        return until(lambda: self.status()["status"] == status and also(), SETTLE_S)


@dataclass(frozen=True)
class Change:
    """What happened while one thing changed; `kept` and `now` are processes by deployment.

    `without_s` is for how long in all a pool had no replica, by pool, as `/ready` tells.
    `pause_s` is the longest time without an answer, by tier.
    """

    name: str
    took_s: float
    answers: list[Answer]
    kept: dict[str, int]
    now: dict[str, int]
    without_s: dict[str, float]
    pause_s: dict[str, float]

    @property
    def faults(self) -> list[str]:
        return [f"{each.tier}: {each.fault}" for each in self.answers if each.fault]

    def made_by(self, tier: str) -> set[tuple[str, str]]:
        """The config hashes, and the picture that each made, of a tier."""
        return {(each.config_hash, each.picture) for each in self.answers if each.tier == tier}


class Readiness:
    """Looks at `/ready` all the time: for how long each pool had no replica."""

    def __init__(self, server: Server) -> None:
        self._url = f"{server.url}/ready"
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)
        self.without_s: dict[str, float] = {}

    def __enter__(self) -> Readiness:
        self._looking.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._over.set()
        self._looking.join(SETTLE_S)

    def _look(self) -> None:
        before_s = time.monotonic()
        with httpx.Client(timeout=30) as client:
            while not self._over.wait(0.1):
                answer = client.get(self._url)
                now_s = time.monotonic()
                told = answer.json()
                if answer.status_code == 503:
                    for pool in re.findall(r"shapes/(\w+)", told["error"]["message"]):
                        self.without_s[pool] = self.without_s.get(pool, 0) + now_s - before_s
                before_s = now_s


def change(
    up: Upgraded,
    load: SteadyLoad,
    name: str,
    begin: Callable[[], object],
    over: Callable[[], object],
) -> Change:
    """Begins a change under the load, waits until it is over, and then for some more answers."""
    before = _processes(up)
    began_s = time.monotonic()
    with Readiness(up.server) as readiness:
        begin()
        over()
        took_s = time.monotonic() - began_s
        until(lambda: all(_answered(load, tier, began_s + took_s) for tier in TIERS), SETTLE_S)
    ended_s = time.monotonic()
    answers, now = load.since(began_s), _processes(up)
    pauses = {}
    for tier in TIERS:
        times = [began_s, *(each.ended_s for each in answers if each.tier == tier), ended_s]
        pauses[tier] = max(after - one for one, after in pairwise(times))
    kept = {each: len(before.get(each, frozenset()) & pids) for each, pids in now.items()}
    counts = {each: len(pids) for each, pids in now.items()}
    return Change(name, took_s, answers, kept, counts, readiness.without_s, pauses)


def _answered(load: SteadyLoad, tier: str, begun_after_s: float) -> bool:
    """Whether a request of a tier was answered that began after that time."""
    return any(each.tier == tier and each.began_s > begun_after_s for each in load.answers)


def _processes(up: Upgraded) -> dict[str, frozenset[int]]:
    """The processes of replicas by deployment."""
    found: dict[str, set[int]] = {}
    for pid, line in up.server.processes().items():
        if name := re.search(r"ServeReplica:dit-serve:([\w-]+)", line):
            found.setdefault(name[1], set()).add(pid)
    return {name: frozenset(pids) for name, pids in found.items()}


@contextmanager
def upgradable(folder: Path) -> Iterator[tuple[Upgraded, dict[str, Any]]]:
    """The cluster, and the args that it serves."""
    path, token = folder / "config.yaml", secrets.token_hex(32)
    pool = yaml.safe_load(Path("configs/demo.yaml").read_text())["applications"][0]["args"][
        "models"
    ][0]["pools"][0]
    write_config(
        path,
        default_tier="none",
        pools=[pool | CAREFUL, pool | QUICK],
        cluster={"gateways": 2},
    )
    with serving(path, folder, RAY_AUTH_TOKEN=token, RAY_OVERRIDE_RESOURCES=ROOM) as server:
        args = yaml.safe_load(path.read_text())["applications"][0]["args"]
        yield Upgraded(server, folder, token), args


def hashes(args: Mapping[str, Any]) -> dict[str, str]:
    """The config hash of each pool of the one model."""
    (model,) = validate_args(args, "args", {}).models
    return {pool.name: config_hash(model, pool) for pool in model.pools}


def changed(args: Mapping[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """A copy of the args with a change made to their one model."""
    copied = copy.deepcopy(dict(args))
    change(copied["models"][0])
    return copied


def _document(path: Path, args: Mapping[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    document["applications"][0]["args"] = dict(args)
    return document


def other_tiers(model: dict[str, Any]) -> None:
    """Another way to make the tiers of the quick pool."""
    smoother = {"enable_taylorseer": True, "taylorseer_order": 1}
    model["pools"][1]["tiers"] = {"fast": {}, "ultra": smoother}


def another_pool(model: dict[str, Any]) -> None:
    model["pools"].append(model["pools"][1] | {"name": "extra", "tiers": ["medium"]})


def misspelt(model: dict[str, Any]) -> None:
    model["pools"][0]["tierz"] = ["none"]


def deployed(
    up: Upgraded, load: SteadyLoad, name: str, args: Mapping[str, Any], **application: Any
) -> Change:
    """`serve deploy` of a good config, until Serve has replaced all that it will replace."""

    def over() -> None:
        until(lambda: up.status()["status"] == "RUNNING" and not _stopping(up), SETTLE_S)

    return change(up, load, name, lambda: up.deploy(args, **application), over)


def refused(up: Upgraded, load: SteadyLoad, name: str, args: Mapping[str, Any]) -> Change:
    """`serve deploy` of a config of which nothing can be built, until Serve says so."""

    def over() -> None:
        until(lambda: up.status()["status"] == "DEPLOY_FAILED", SETTLE_S)

    return change(up, load, name, lambda: up.deploy(args), over)


def terminated(up: Upgraded, load: SteadyLoad, deployment: str, *, comes_back: bool) -> Change:
    """SIGTERM for a process of a deployment, until there is another in its place, if one comes."""
    before = _processes(up)[deployment]

    def over() -> None:
        if comes_back:
            until(lambda: len(_processes(up).get(deployment, set()) - before) == 1, SETTLE_S)
            until(lambda: _is_ready(up.server), SETTLE_S)

    name = f"SIGTERM for a process of {deployment}"
    return change(up, load, name, lambda: os.kill(min(before), signal.SIGTERM), over)


def _stopping(up: Upgraded) -> bool:
    deployments = up.status()["deployments"].values()
    return any(each["state"] != "RUNNING" for one in deployments for each in one["replicas"])


def _is_ready(server: Server) -> bool:
    return httpx.get(f"{server.url}/ready", timeout=30).status_code == 200
