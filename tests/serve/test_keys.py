"""Keys on a real server: the SDK works with one, others' work is hidden, and no secret leaks."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from cluster.keys import Scope
from deployments.key_file import KeyFile
from deployments.key_ring import FRESH_S, PATIENCE_S
from deployments.key_store import new_key
from tests.serve.clips import clips_model
from tests.serve.server import Server, serving, write_config

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning"),
]

SOON_S = 10.0
"""More than gateways need to see a change of keys, which they look for every two seconds."""

DONE_S = 60.0
GATEWAYS = 3
AT_ONCE = 24
NO_KEY = "this needs an API key that is known and works"
FEW = {"num_inference_steps": 2, "tier": "none"}
LONG = {"model": "clips", "num_inference_steps": 2000, "tier": "none"}


@dataclass(frozen=True)
class Keyed:
    """A server that asks for keys, and some keys by the names of those who have them."""

    server: Server
    file: Path
    keys: dict[str, str]

    def sdk(self, name: str) -> openai.OpenAI:
        url = f"{self.server.url}/v1"
        return openai.OpenAI(base_url=url, api_key=self.keys[name], max_retries=0, timeout=60)

    def http(self, name: str | None) -> httpx.Client:
        headers = {} if name is None else {"Authorization": f"Bearer {self.keys[name]}"}
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=60)

    def command(self, *words: str) -> str:
        """What `dit-serve keys ...` prints."""
        command = [sys.executable, "-m", "deployments", "keys", *words, "--file", str(self.file)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder: Path = tmp_path_factory.mktemp("keys")
    file, keys = folder / "keys.yaml", {}
    for name, scope, limits in [
        ("ann", Scope.GENERATE, None),
        ("bob", Scope.GENERATE, None),
        ("prometheus", Scope.METRICS, None),
        ("root", Scope.ADMIN, None),
        ("five", Scope.GENERATE, {"requests_per_minute": 5}),
        ("two", Scope.GENERATE, {"in_flight": 2}),
        ("little", Scope.GENERATE, {"gpu_seconds_per_minute": 0.001}),
        ("one", Scope.GENERATE, {"in_flight": 1}),
    ]:
        keys[name], kept = new_key(name, [scope], datetime.now(UTC), None, limits)
        KeyFile(str(file)).add(kept)
    config = write_config(
        folder / "config.yaml",
        more_models=[clips_model(folder)],
        cluster={"auth": {"keys_file": str(file)}, "gateways": GATEWAYS},
    )
    with serving(config, folder) as server:
        yield Keyed(server, file, keys)


def sessions_of(keyed: Keyed) -> set[Path]:
    """The folder of Ray's session, as command lines name it."""
    lines = "\n".join(keyed.server.processes().values())
    sessions = set(map(Path, re.findall(r"/\S*?/session_[\w-]+", lines)))
    assert len(sessions) == 1, sessions
    return sessions


def until(true: Callable[[], bool]) -> float:
    """Seconds until it is true, which it must be soon."""
    began_s = time.monotonic()
    while not true():
        assert time.monotonic() - began_s < SOON_S
        time.sleep(0.1)
    return time.monotonic() - began_s


def test_up_says_how_a_key_is_added_and_sends_one_in_its_example(keyed: Keyed) -> None:
    printed = keyed.server.printed.read_text()
    assert "add one: dit-serve keys add NAME --config " in printed
    assert '-H "Authorization: Bearer $DIT_SERVE_API_KEY"' in printed


def test_the_official_sdk_works_with_a_key_and_with_no_other(keyed: Keyed) -> None:
    with keyed.sdk("ann") as ann:
        assert [model.id for model in ann.models.list()] == ["shapes", "clips"]
        made = ann.images.generate(prompt="a red circle", extra_body=FEW)
        assert made.data is not None
        assert base64.b64decode(made.data[0].b64_json or "").startswith(b"\x89PNG")
        for wrong in (keyed.keys["ann"][:-1], "not-used"):
            with pytest.raises(openai.AuthenticationError, match=NO_KEY):
                ann.with_options(api_key=wrong).models.list()
    with (
        keyed.sdk("prometheus") as prometheus,
        pytest.raises(openai.PermissionDeniedError, match="needs the scope generate or admin"),
    ):
        prometheus.models.list()


def test_pages_and_health_are_open_and_metrics_are_for_their_scope(keyed: Keyed) -> None:
    with keyed.http(None) as nobody:
        for path in ("/", "/docs", "/openapi.json", "/health", "/ready"):
            assert nobody.get(path).status_code == 200, path
        assert nobody.get("/metrics").status_code == 401
    for name, status in [("ann", 403), ("prometheus", 200), ("root", 200)]:
        with keyed.http(name) as caller:
            assert caller.get("/metrics").status_code == status, name


def test_a_picture_is_for_the_key_that_made_it(keyed: Keyed) -> None:
    body = {"prompt": "a red circle", "response_format": "url", "size": "64x64", **FEW}
    with keyed.http("ann") as ann, keyed.http("bob") as bob, keyed.http("root") as root:
        url = ann.post("/v1/images/generations", json=body).json()["data"][0]["url"]
        missing = re.sub(r"img_[0-9a-f]{24}", "img_" + "0" * 24, url)
        assert ann.get(url).content == root.get(url).content
        assert ann.get(url).content.startswith(b"\x89PNG")
        refused, absent = bob.get(url), bob.get(missing)
        assert (refused.status_code, absent.status_code) == (404, 404)
        assert refused.json()["error"]["code"] == absent.json()["error"]["code"] == "not_found"
        assert httpx.get(url, timeout=30).status_code == 401


def test_a_video_is_for_the_key_that_made_it(keyed: Keyed) -> None:
    with keyed.sdk("ann") as ann, keyed.sdk("bob") as bob, keyed.sdk("root") as root:
        video = ann.videos.create(model="clips", prompt="waves", size="64x64", extra_body=FEW)
        give_up_s = time.monotonic() + DONE_S
        while ann.videos.retrieve(video.id).status in ("queued", "in_progress"):
            assert time.monotonic() < give_up_s
            time.sleep(0.2)
        for refused in (bob.videos.retrieve, bob.videos.delete, bob.videos.download_content):
            with pytest.raises(openai.NotFoundError, match="no such video"):
                refused(video.id)
        assert [each.id for each in bob.videos.list()] == []
        assert [each.id for each in ann.videos.list()] == [video.id]
        assert [each.id for each in root.videos.list()] == [video.id]
        assert ann.videos.download_content(video.id).content[4:8] == b"ftyp"
        root.videos.delete(video.id)
        with pytest.raises(openai.NotFoundError):
            ann.videos.retrieve(video.id)


def at_once(keyed: Keyed, name: str, path: str, **wish: Any) -> Counter[tuple[int, str | None]]:
    """What becomes of many requests of a key, sent at once: statuses and codes of errors.

    A fresh connection each: Serve chooses the gateway for each request anew.
    """
    headers = {"Authorization": f"Bearer {keyed.keys[name]}"}
    url, body = f"{keyed.server.url}{path}", {"prompt": "a red circle", **wish}

    def one(_: int) -> tuple[int, str | None]:
        answer = httpx.post(url, json=body, headers=headers, timeout=60)
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["type"] == "rate_limit_error"
        return answer.status_code, (answer.json().get("error") or {}).get("code")

    with ThreadPoolExecutor(AT_ONCE) as senders:
        return Counter(senders.map(one, range(AT_ONCE)))


def delete_all(keyed: Keyed, name: str) -> None:
    """Deletes the videos of a key."""
    with keyed.http(name) as caller:
        for video in caller.get("/v1/videos").json()["data"]:
            caller.delete(f"/v1/videos/{video['id']}")


def refusals_by_gateway(keyed: Keyed) -> dict[str, int]:
    """How often each gateway has answered 429, by the logs that Serve writes of its answers."""
    (session,) = sessions_of(keyed)
    logs = (session / "logs" / "serve").glob("replica_*gateway*.log")
    return {log.name: len(re.findall(r"POST /v1/\S+ 429 ", log.read_text())) for log in logs}


def test_through_three_gateways_a_keys_limits_hold_as_one(keyed: Keyed) -> None:
    """The videos that are let in take longer than it takes to send all."""
    assert len(keyed.server.replica_pids("gateway")) == GATEWAYS
    refused = (429, "limit_reached")
    pictures = "/v1/images/generations"
    assert at_once(keyed, "five", pictures, **FEW) == {(200, None): 5, refused: AT_ONCE - 5}
    assert at_once(keyed, "two", "/v1/videos", **LONG) == {(200, None): 2, refused: AT_ONCE - 2}
    assert at_once(keyed, "ann", pictures, **FEW) == {(200, None): AT_ONCE}
    until(lambda: min(refusals_by_gateway(keyed).values()) > 0)
    assert len(refusals_by_gateway(keyed)) == GATEWAYS
    delete_all(keyed, "two")


def test_gpu_seconds_that_are_used_come_back_with_time_and_are_counted(keyed: Keyed) -> None:
    """A request that is larger than a minute's worth comes in, and then none does for long."""
    with keyed.sdk("ann") as ann, keyed.sdk("little") as little, keyed.http("prometheus") as scrape:
        for _ in range(2):
            ann.images.generate(prompt="a red circle", extra_body=FEW)
        little.images.generate(prompt="a red circle", extra_body=FEW)
        with pytest.raises(openai.RateLimitError, match="gpu_seconds_per_minute: this key") as told:
            little.images.generate(prompt="a red circle", extra_body=FEW)
        assert int(told.value.response.headers["retry-after"]) > 60
        counted = scrape.get("/metrics").text
    line = 'dit_serve_requests_limited_total{limit="gpu_seconds_per_minute",model="shapes"} 1.0'
    assert line in counted


def test_a_video_counts_until_it_has_ended(keyed: Keyed) -> None:
    wish = {"prompt": "waves", **LONG}
    again = {"Idempotency-Key": "order-1"}
    with keyed.http("one") as one:
        first = one.post("/v1/videos", json=wish, headers=again).json()["id"]
        assert one.post("/v1/videos", json=wish, headers=again).json()["id"] == first
        until(lambda: one.get(f"/v1/videos/{first}").json()["status"] == "in_progress")
        refused = one.post("/v1/videos", json=wish)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "limit_reached")
        one.post(f"/v1/videos/{first}/cancel")
        until(lambda: one.post("/v1/videos", json=wish).status_code == 200)
    delete_all(keyed, "one")


def test_keys_that_are_added_and_revoked_count_while_the_server_runs(keyed: Keyed) -> None:
    key = keyed.command("add", "late")
    keyed.keys["late"] = key
    with keyed.http("late") as late:
        until(lambda: late.get("/v1/models").status_code == 200)
        keyed.command("revoke", key.split("_")[1])
        until(lambda: late.get("/v1/models").status_code == 401)
        time.sleep(FRESH_S + PATIENCE_S)
        assert late.post("/v1/images/generations", json={"prompt": "x"}).status_code == 401
    assert "revoked" in keyed.command("list")


def test_the_command_line_sends_the_key_of_its_variable(keyed: Keyed, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deployments", "generate", "--prompt", "a red circle"]
    command += ["--url", keyed.server.url, "--steps", "2", "--out", str(tmp_path)]
    for variables, code in [({}, 1), ({"DIT_SERVE_API_KEY": keyed.keys["ann"]}, 0)]:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | variables,
            check=False,
        )
        assert done.returncode == code, done.stderr
    assert len(list(tmp_path.glob("*.png"))) == 1


def test_no_secret_stands_in_a_log_a_command_line_or_a_file_of_the_server(keyed: Keyed) -> None:
    """Of the keys that the tests before have sent; of Ray's files, all of its session."""
    lines = "\n".join(keyed.server.processes().values())
    folders = [*sessions_of(keyed), keyed.file.parent]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert any(path.name.startswith("gcs_server") for path in files)
    secrets = {name: key.split("_", 2)[2] for name, key in keyed.keys.items()}
    whole = {path: path.read_bytes() for path in files}
    assert sum(map(len, whole.values())) > 100_000
    for name, secret in secrets.items():
        assert secret not in lines, name
        found = [path for path, content in whole.items() if secret.encode() in content]
        assert found == [], name
