"""The faults: how each is made on a running cluster, and how it ends.

A fault is made by `strike`, which gives the processes that it hit and what is to be undone.
"""

from __future__ import annotations

import errno
import os
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.chaos_cluster import Stage
from tests.serve.faults import OUT_OF_MEMORY

HELD_S = 20.0
"""How long a database is away, a disk full, a client slow, a controller stopped."""

SLOW_CLIENTS = 8


@dataclass
class Strike:
    """A fault that has begun: the processes it hit, and how it is undone after `held_s`, if so.

    `hits` is the pool or the kind of request that suffers, empty for any.
    """

    victims: tuple[int, ...] = ()
    hits: str = ""
    undo: Callable[[], None] | None = None
    held_s: float = HELD_S
    note: str = ""


@dataclass(frozen=True)
class Fault:
    """`cuts`: it ends the process that holds callers' connections."""

    what: str
    strike: Callable[[Stage, random.Random], Strike]
    cuts: bool = False
    needs: str = ""


def faults() -> Mapping[str, Fault]:
    """All of them, by name."""
    kill, stop = signal.SIGKILL, signal.SIGSTOP
    return {
        "rank-kill": Fault("SIGKILL of a rank", _rank(kill)),
        "rank-stop": Fault("SIGSTOP of a rank", _rank(stop)),
        "rank-memory": Fault("a rank's allocator refuses", _rank(OUT_OF_MEMORY)),
        "rank-nan": Fault("a rank's weights give NaN", _rank(signal.SIGUSR1)),
        "replica-kill": Fault("SIGKILL of a replica", _process("pool-shapes-pair", kill)),
        "replica-stop": Fault("SIGSTOP of a replica", _process("pool-shapes-pair", stop)),
        "router-kill": Fault("SIGKILL of a router", _process("router-shapes", kill)),
        "router-stop": Fault("SIGSTOP of a router", _process("router-shapes", stop)),
        "gateway-kill": Fault("SIGKILL of a gateway", _process("gateway", kill)),
        "gateway-stop": Fault("SIGSTOP of a gateway", _process("gateway", stop)),
        "proxy-kill": Fault("SIGKILL of the HTTP proxy", _process("proxy", kill), cuts=True),
        "proxy-stop": Fault("SIGSTOP of the HTTP proxy", _process("proxy", stop), cuts=True),
        "controller-kill": Fault("SIGKILL of Serve's controller", _process("controller", kill)),
        "controller-stop": Fault("SIGSTOP of Serve's controller", _stopped_controller),
        "node-kill": Fault("SIGKILL of a node's raylet", _killed_node, needs="nodes"),
        "node-stop": Fault("SIGSTOP of a node's raylet", _stopped_node, needs="nodes"),
        "disk-full": Fault("the results' disk is full", _full_disk, needs="disk"),
        "database-gone": Fault("the database is away", _database_gone, needs="database"),
        "slow-clients": Fault("clients that send and read a byte a second", _slow_clients),
    }


def missing(fault: Fault, stage: Stage) -> str | None:
    """Why a fault cannot be made here; None where it can."""
    if fault.needs == "disk" and stage.disk is None:
        return "no filesystem can be mounted here"
    if fault.needs == "nodes" and stage.nodes is None:
        return "there is one node"
    if fault.needs == "database" and stage.database is None:
        return "there is no PostgreSQL here"
    return None


def _rank(number: int) -> Callable[[Stage, random.Random], Strike]:
    def strike(stage: Stage, chance: random.Random) -> Strike:
        pid = chance.choice(stage.pids()["rank"])
        os.kill(pid, number)
        log = stage.server.log.read_text(errors="replace")
        found = re.search(rf"\((shapes/\w+) \w+ rank \d+ pid={pid}[,)]", log)
        return Strike((pid,), "" if found is None else found[1])

    return strike


def _process(role: str, number: int) -> Callable[[Stage, random.Random], Strike]:
    def strike(stage: Stage, chance: random.Random) -> Strike:
        pid = chance.choice(stage.pids()[role])
        os.kill(pid, number)
        pool = re.fullmatch(r"pool-(\w+)-(\w+)", role)
        return Strike((pid,), "" if pool is None else f"{pool[1]}/{pool[2]}")

    return strike


def _stopped_controller(stage: Stage, chance: random.Random) -> Strike:
    """Nothing in Ray looks whether Serve's controller still answers, so it is let go on."""
    (pid,) = stage.pids()["controller"]
    os.kill(pid, signal.SIGSTOP)
    return Strike(undo=lambda: os.kill(pid, signal.SIGCONT), note="let go on; nobody notices")


def _killed_node(stage: Stage, chance: random.Random) -> Strike:
    """A node like it is added once it is gone."""
    assert stage.nodes is not None
    nodes = stage.nodes
    victims = (nodes.raylet_of_the_other(),)
    nodes.kill_the_other()

    def undo() -> None:
        nodes.add_another()

    return Strike(victims, undo=undo, held_s=5.0, note="then a node is added")


def _stopped_node(stage: Stage, chance: random.Random) -> Strike:
    """Ray's head gives the node up; its raylet ends itself when it goes on."""
    nodes = stage.nodes
    assert nodes is not None
    pid = nodes.raylet_of_the_other()
    os.kill(pid, signal.SIGSTOP)

    def undo() -> None:
        os.kill(pid, signal.SIGCONT)
        nodes.kill_the_other()
        nodes.add_another()

    note = "let go on after a minute; then a node is added"
    return Strike((pid,), undo=undo, held_s=60.0, note=note)


def _full_disk(stage: Stage, chance: random.Random) -> Strike:
    assert stage.disk is not None
    file = stage.disk / "full"
    stop = threading.Event()

    def keep_full() -> None:
        with file.open("wb", buffering=0) as filling:
            while not stop.is_set():
                try:
                    filling.write(bytes(4096))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    time.sleep(0.05)

    thread = threading.Thread(target=keep_full, name="fill", daemon=True)
    thread.start()

    def undo() -> None:
        stop.set()
        thread.join()
        file.unlink()

    return Strike(hits="stored", undo=undo)


def _database_gone(stage: Stage, chance: random.Random) -> Strike:
    assert stage.database is not None
    stage.database.stop()
    return Strike(undo=stage.database.start)


def _slow_clients(stage: Stage, chance: random.Random) -> Strike:
    address = urlsplit(stage.server.url)
    body = b'{"prompt": "a red circle", "num_inference_steps": 2, "tier": "none"}'
    head = (
        f"POST /v1/images/generations HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {stage.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    over = threading.Event()

    def sends_slowly() -> None:
        with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
            connection.sendall(head)
            for byte in body:
                if over.wait(1.0):
                    return
                connection.sendall(bytes([byte]))

    def reads_slowly() -> None:
        with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.sendall(head + body)
            while not over.wait(1.0):
                connection.recv(1)

    clients = [
        threading.Thread(target=client, daemon=True)
        for client in (sends_slowly, reads_slowly)
        for _ in range(SLOW_CLIENTS)
    ]
    for client in clients:
        client.start()

    def undo() -> None:
        over.set()
        for client in clients:
            client.join(60)

    return Strike(undo=undo)


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
