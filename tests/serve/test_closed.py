"""What a neighbour without any secret finds on a running cluster."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import grpc
import httpx
import pytest

from tests.serve.listening import Listener, listeners_of
from tests.serve.server import Server

pytestmark = pytest.mark.ray

WORD = "heliotrope"
"""Of a prompt; it must not turn up where no key is asked for."""

RAY_CALLS = (
    "/ray.rpc.CoreWorkerService/PushTask",
    "/ray.rpc.NodeManagerService/RequestWorkerLease",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.NodeInfoGcsService/CheckAlive",
    "/ray.rpc.InternalKVGcsService/InternalKVGet",
    "/ray.rpc.JobInfoGcsService/GetAllJobInfo",
    "/ray.rpc.ReporterService/GetTraceback",
    "/ray.rpc.events.EventAggregatorService/AddEvents",
    "/ray.serve.ASGIService/HandleRequest",
    "/ray.serve.ASGIService/HandleRequestWithRejection",
)
"""A call of each of Ray's gRPC services; some would run code, or unpickle what they are sent."""

DASHBOARD_CALLS = (
    ("GET", "/api/version"),
    ("GET", "/api/jobs/"),
    ("POST", "/api/jobs/"),
    ("GET", "/api/serve/applications/"),
    ("PUT", "/api/serve/applications/"),
    ("DELETE", "/api/serve/applications/"),
    ("GET", "/nodes?view=summary"),
    ("GET", "/api/v0/actors"),
    ("GET", "/api/v0/logs"),
    ("GET", "/logs"),
)

SILENT = {401, 403, 404, 405}


@pytest.fixture(scope="module")
def listeners(server: Server) -> list[Listener]:
    with server.client() as http:
        fields = {"prompt": f"a {WORD} circle", "num_inference_steps": 1, "tier": "none"}
        assert http.post("/v1/images/generations", json=fields).status_code == 200
    return listeners_of(server)


def at(listener: Listener) -> str:
    return "127.0.0.1" if listener.address in ("0.0.0.0", "::") else listener.address


def speaks_http(listener: Listener) -> bool:
    try:
        httpx.get(f"http://{at(listener)}:{listener.port}/", timeout=10)
    except httpx.TransportError:
        return False
    return True


def test_pages_and_the_dashboard_listen_on_this_machine_alone(
    server: Server, listeners: list[Listener]
) -> None:
    ports = {httpx.URL(server.url).port, httpx.URL(server.dashboard_url()).port}
    found = [listener for listener in listeners if listener.port in ports]
    assert {listener.port for listener in found} == ports
    assert all(listener.is_loopback for listener in found)


def test_the_dashboard_does_nothing_without_the_token(server: Server) -> None:
    for method, path in DASHBOARD_CALLS:
        url = f"{server.dashboard_url()}{path}"
        body = {"entrypoint": "true"}
        for headers in ({}, {"Authorization": "Bearer guess"}, {"Origin": "https://evil.example"}):
            answer = httpx.request(method, url, json=body, headers=headers, timeout=20)
            assert answer.status_code in (401, 403), (method, path, answer.status_code)
            assert "access-control-allow-origin" not in answer.headers
    token = Path("~/.ray/auth_token").expanduser().read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(f"{server.dashboard_url()}/api/version", headers=headers, timeout=20)
    assert answer.status_code == 200


def test_no_grpc_service_of_ray_answers_without_the_token(listeners: list[Listener]) -> None:
    refusing = 0
    for listener in listeners:
        if speaks_http(listener):
            continue
        with grpc.insecure_channel(f"{at(listener)}:{listener.port}") as channel:
            answers = {call: status_of(channel, call) for call in RAY_CALLS}
        assert set(answers.values()) <= {"UNAUTHENTICATED", "UNIMPLEMENTED"}, (listener, answers)
        assert "UNAUTHENTICATED" in answers.values(), (listener, answers)
        refusing += 1
    assert refusing >= 5


def status_of(channel: grpc.Channel, call: str) -> str:
    try:
        channel.unary_unary(call)(b"", timeout=10)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def test_of_ports_that_speak_http_only_metrics_and_signs_of_life_answer(
    server: Server, listeners: list[Listener]
) -> None:
    gateway = httpx.URL(server.url).port
    dashboard = httpx.URL(server.dashboard_url()).port
    exporters = 0
    for listener in listeners:
        if listener.port in (gateway, dashboard) or not speaks_http(listener):
            continue
        base = f"http://{at(listener)}:{listener.port}"
        for path in ("/api/job_agent/jobs/", "/get_or_create_runtime_env", "/logs", "/"):
            for method in ("GET", "POST"):
                answer = httpx.request(method, f"{base}{path}", timeout=20)
                is_metrics = answer.text.startswith("# HELP")
                assert answer.status_code in SILENT or is_metrics, (listener, method, path)
        metrics = httpx.get(f"{base}/metrics", timeout=20)
        if metrics.status_code == 200:
            exporters += 1
            assert WORD not in metrics.text
    assert exporters >= 1


def test_headers_without_end_are_cut_off_by_the_proxy(server: Server) -> None:
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 80), timeout=20) as caller:
        assert bytes_taken(caller, b"GET /health HTTP/1.1\r\nHost: here\r\nX: ") < 20_000_000
    assert httpx.get(f"{server.url}/health", timeout=20).status_code == 200


def bytes_taken(caller: socket.socket, start: bytes, most: int = 50_000_000) -> int:
    """How much more than `start` can be sent before the other side hangs up; `most` at most."""
    sent = 0
    try:
        caller.sendall(start)
        while sent < most:
            caller.sendall(b"a" * 100_000)
            sent += 100_000
    except (ConnectionResetError, BrokenPipeError):
        pass
    return sent


def test_a_prompt_stands_in_no_log(server: Server, listeners: list[Listener]) -> None:
    (folder,) = {
        Path(found[1])
        for line in server.processes().values()
        if (found := re.search(r"--log[_-]dir=(\S+)", line))
    }
    logs = [path for path in folder.rglob("*") if path.is_file()]
    assert len(logs) > 5
    for path in (*logs, server.log, server.printed):
        assert WORD.encode() not in path.read_bytes(), path


def test_a_query_that_is_no_text_is_answered_in_the_envelope(server: Server) -> None:
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 80), timeout=20) as caller:
        caller.sendall(b"GET /nothing?\xff HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: caller.recv(65536), b""))
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400", b"HTTP/1.1 403"))


def test_a_page_of_elsewhere_gets_nothing_of_a_server_without_keys(server: Server) -> None:
    with server.client() as http:
        other = {"Origin": "https://evil.example"}
        form = http.post("/v1/videos", files={"prompt": (None, "waves")}, headers=other)
        assert (form.status_code, form.json()["error"]["code"]) == (403, "cross_origin")
        moved = http.get("/v1/videos", headers={"Host": "evil.example"})
        assert (moved.status_code, moved.json()["error"]["code"]) == (403, "cross_origin")
