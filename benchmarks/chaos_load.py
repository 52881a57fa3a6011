"""A steady open load for a server under faults: what is asked, when, and what became of it.

Requests are sent at times drawn from a seed, however long the answers take.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import httpx

from benchmarks.chaos_verdict import INSIDE, Answer, Shape

PROMPT = "a red circle left of a blue square on a white background"
STEPS = 12
DEADLINES_S = (5.0, 20.0, 60.0)
CLIP = {"model": "clips", "prompt": "a red circle", "tier": "none", "num_inference_steps": 100}

NO_ANSWER_S = 240.0
"""A request without a deadline hangs if it takes longer: more than any fault here lasts."""

MARGIN_S = 30.0
"""What a request with a deadline may take beyond it, before it hangs."""

MOST_AT_ONCE = 400
POLL_S = 0.5


@dataclass(frozen=True)
class Ask:
    """One request, sent `at_s` seconds after the load began."""

    number: int
    at_s: float
    kind: str
    tier: str
    seed: int
    deadline_s: float | None = None

    @property
    def patience_s(self) -> float:
        return NO_ANSWER_S if self.deadline_s is None else self.deadline_s + MARGIN_S

    @property
    def body(self) -> dict[str, Any]:
        if self.kind == "video":
            return CLIP | {"seed": self.seed}
        more: Mapping[str, Any] = {
            "picture": {},
            "deadline": {"deadline_ms": int(1000 * (self.deadline_s or 0)), "tier": "auto"},
            "stream": {"stream": True},
            "stored": {"response_format": "url"},
        }[self.kind]
        steps = {"num_inference_steps": STEPS, "tier": self.tier, "seed": self.seed}
        return {"prompt": PROMPT} | steps | more


@dataclass(frozen=True)
class Mix:
    """What is asked for: kinds, and how many of each there are in every hand of requests.

    And the tiers and seeds of pictures.
    """

    kinds: Mapping[str, int]
    tiers: tuple[str, ...]
    seeds: int

    def each(self) -> Iterator[Ask]:
        """One request for each picture and clip that the load can ask for."""
        for seed in range(self.seeds):
            yield from (Ask(0, 0, "picture", tier, seed) for tier in self.tiers)
            if "video" in self.kinds:
                yield Ask(0, 0, "video", "none", seed)

    def asks(self, seed: int, per_s: float) -> Iterator[Ask]:
        """Requests without end: a Poisson process of that rate, the same for the same seed.

        Kinds are dealt in shuffled hands, so that none stays away for longer than two of them.
        """
        chance = random.Random(seed)
        at_s = 0.0
        hand: list[str] = []
        for number in count():
            at_s += chance.expovariate(per_s)
            if not hand:
                hand = [kind for kind, many in self.kinds.items() for _ in range(many)]
                chance.shuffle(hand)
            kind = hand.pop()
            deadline_s = chance.choice(DEADLINES_S) if kind == "deadline" else None
            tier, picture = chance.choice(self.tiers), chance.randrange(self.seeds)
            yield Ask(number, at_s, kind, tier, picture, deadline_s)


ALL = Mix(
    {"picture": 10, "deadline": 4, "stream": 3, "stored": 2, "video": 1},
    ("none", "slow", "medium", "fast"),
    3,
)


class Load:
    """Sends requests from a thread of its own, from `begin` to `end`."""

    def __init__(self, url: str, key: str | None, coming: Iterator[Ask]) -> None:
        self._caller = Caller(url, key)
        self._coming = coming
        self._over = threading.Event()
        self._calls: list[Future[Answer]] = []
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, "caller")
        self._sender = threading.Thread(target=self._send, name="load", daemon=True)

    def begin(self) -> None:
        self._began_s = self._caller.began_s = time.monotonic()
        self._sender.start()

    def now_s(self) -> float:
        """Seconds since the load began."""
        return time.monotonic() - self._began_s

    def answers(self) -> list[Answer]:
        """Those that have come so far."""
        return [call.result() for call in self._calls if call.done()]

    def end(self) -> tuple[int, list[Answer]]:
        """Sends nothing more, and waits for what is out: how many were sent, and the answers."""
        self._over.set()
        self._sender.join()
        self._threads.shutdown(wait=True)
        return len(self._calls), [call.result() for call in self._calls]

    def _send(self) -> None:
        for ask in self._coming:
            if self._over.wait(max(0.0, ask.at_s - self.now_s())):
                return
            self._calls.append(self._threads.submit(self._caller.ask, ask))


class Caller:
    """Asks, each time over a connection of its own, and follows what it asked to its end."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.began_s = time.monotonic()

    def ask(self, ask: Ask) -> Answer:
        sent_s = time.monotonic() - self.began_s
        answer = partial(Answer, ask.number, ask.kind, sent_s)
        try:
            with self._client(ask.patience_s) as client:
                facts = self._follow(client, ask)
        except (httpx.TimeoutException, _Late) as error:
            facts = {"ended": "hung", "says": repr(error)}
        except httpx.ConnectError as error:
            facts = {"ended": "unheard", "says": repr(error)}
        except httpx.TransportError as error:
            facts = {"ended": "dropped", "says": repr(error)}
        return answer(time.monotonic() - self.began_s, **facts)

    def _client(self, timeout_s: float) -> httpx.Client:
        """Plain HTTP: without `verify` it would read all certificates of the machine each time."""
        return httpx.Client(
            base_url=self._url, headers=self._headers, timeout=timeout_s, verify=False
        )

    def _follow(self, client: httpx.Client, ask: Ask) -> dict[str, Any]:
        give_up_s = time.monotonic() + ask.patience_s
        if ask.kind == "video":
            return self._video(client, ask, give_up_s)
        if ask.kind == "stream":
            return self._stream(client, ask, give_up_s)
        response = client.post("/v1/images/generations", json=ask.body)
        if response.status_code != 200:
            return _refusal(response)
        body = response.json()
        (made,) = body["data"]
        if "url" not in made:
            return _picture(body["receipt"], base64.b64decode(made["b64_json"]), ask)
        file = self._fetched(made["url"], give_up_s)
        return file if isinstance(file, dict) else _picture(body["receipt"], file, ask)

    def _stream(self, client: httpx.Client, ask: Ask, give_up_s: float) -> dict[str, Any]:
        ends: list[dict[str, Any]] = []
        with client.stream("POST", "/v1/images/generations", json=ask.body) as response:
            if response.status_code != 200:
                response.read()
                return _refusal(response)
            kind = ""
            for line in response.iter_lines():
                if time.monotonic() > give_up_s:
                    raise _Late(kind)
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind == "image_generation.completed":
                    event = json.loads(value)
                    ends.append(
                        _picture(event["receipt"], base64.b64decode(event["b64_json"]), ask)
                    )
                elif name == "data" and kind == "error":
                    ends.append(_error(INSIDE, json.loads(value)["error"]))
        if not ends:
            return {"ended": "dropped", "says": f"the stream ended after {kind or 'nothing'}"}
        return ends[0] | {"answers": len(ends)}

    def _video(self, client: httpx.Client, ask: Ask, give_up_s: float) -> dict[str, Any]:
        """Made and followed; looks that fail are done again, as a client does that polls."""
        response = client.post("/v1/videos", json=ask.body)
        if response.status_code != 200:
            return _refusal(response)
        path = f"/v1/videos/{response.json()['id']}"
        while True:
            video = json.loads(self._patient(path, give_up_s).content)
            if video["status"] == "completed":
                return _picture(
                    video["receipt"], self._patient(f"{path}/content", give_up_s).content, ask
                )
            if video["status"] == "failed":
                return _error(INSIDE, video["error"])
            time.sleep(POLL_S)

    def _fetched(self, url: str, give_up_s: float) -> bytes | dict[str, Any]:
        """A stored picture, or how it was refused."""
        response = self._patient(url, give_up_s)
        return response.content if response.status_code == 200 else _refusal(response)

    def _patient(self, path: str, give_up_s: float) -> httpx.Response:
        """What a GET answers in the end; it may be done again as often as one likes."""
        while time.monotonic() < give_up_s:
            try:
                with self._client(20.0) as client:
                    response = client.get(path)
            except httpx.TransportError:
                pass
            else:
                if response.status_code < 500:
                    return response
            time.sleep(POLL_S)
        raise _Late(path)


class _Late(Exception):
    """The answer did not come in its time."""


def _picture(receipt: Mapping[str, Any], file: bytes, ask: Ask) -> dict[str, Any]:
    model, pool = receipt["model"], receipt["pool"]
    shape = Shape(f"{model}/{pool}", receipt["tier_served"], receipt["parallelism"], ask.seed)
    return {
        "ended": "picture",
        "status": 200,
        "shape": shape,
        "digest": hashlib.sha256(file).hexdigest(),
        "attempts": receipt["attempts"],
    }


def _refusal(response: httpx.Response) -> dict[str, Any]:
    """An error of ours; what has another shape is of Serve's proxy, or of uvicorn."""
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        says = f"{response.status_code} {response.text[:200]!r}"
        return {"ended": "strange", "status": response.status_code, "says": says}
    return _error(response.status_code, error)


def _error(status: int, error: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"code": error.get("code") or "", "says": error["message"]}
    return {"ended": "refused", "status": status} | kinds
