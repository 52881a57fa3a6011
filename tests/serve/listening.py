"""Where the processes of a cluster listen, read from the kernel."""

from __future__ import annotations

import ipaddress
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.serve.server import Server

_LISTENS = "0A"


@dataclass(frozen=True)
class Listener:
    """`address` as the kernel has it; 0.0.0.0 and :: are all interfaces."""

    address: str
    port: int
    process: str

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.address).is_loopback


def listeners_of(server: Server) -> list[Listener]:
    """Every TCP port on which a process of this cluster listens."""
    owners = {inode: line for pid, line in server.processes().items() for inode in _sockets(pid)}
    return [
        Listener(address, port, owners[inode])
        for address, port, inode in _listening()
        if inode in owners
    ]


def _sockets(pid: int) -> Iterator[str]:
    try:
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return
    yield from (link[8:-1] for link in links if link.startswith("socket:["))


def _listening() -> Iterator[tuple[str, int, str]]:
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS:
                words, port = fields[1].split(":")
                yield _address(words), int(port, 16), fields[9]


def _address(words: str) -> str:
    """The kernel writes addresses as words of 32 bits in the machine's own order."""
    parts = [int(words[start : start + 8], 16) for start in range(0, len(words), 8)]
    return str(ipaddress.ip_address(b"".join(struct.pack("=I", part) for part in parts)))
