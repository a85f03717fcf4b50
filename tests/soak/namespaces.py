"""Two network namespaces of Linux with a link between them that loses packets (iptables); needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Network", "available", "lossy_network"]

SERVER, CLIENTS = "10.78.0.1", "10.78.0.2"


@dataclass(frozen=True)
class Network:
    """Where the server and the clients run.

    Args:
        host: The server's address.
        server: What comes before a command that runs where the server is.
        clients: What comes before a command that runs where the clients are.
    """

    host: str
    server: list[str]
    clients: list[str]
    _clients_name: str

    def lose(self, every: int) -> None:
        """Lose every nth datagram, and each way for itself; 0 ends that."""
        enter = ["ip", "netns", "exec", self._clients_name]
        _run([*enter, "iptables", "-F"])
        for chain in ("INPUT", "OUTPUT") if every else ():
            nth = ["-m", "statistic", "--mode", "nth", "--every", str(every), "--packet", "0"]
            _run([*enter, "iptables", "-A", chain, "-p", "udp", *nth, "-j", "DROP"])

    def lost(self) -> int:
        """Return how many datagrams were lost so far."""
        out = _run(["ip", "netns", "exec", self._clients_name, "iptables", "-nvxL"])
        return sum(int(line.split()[0]) for line in out.splitlines() if " DROP " in line and "statistic" in line)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout


def available() -> bool:
    """Whether this process may make namespaces and has the tools."""
    if not hasattr(os, "geteuid") or os.geteuid() or not (shutil.which("ip") and shutil.which("iptables")):
        return False
    name = f"lk-probe-{os.getpid()}"
    try:
        _run(["ip", "netns", "add", name])
        try:
            _run(["ip", "netns", "exec", name, "iptables", "-nL"])
        finally:
            _run(["ip", "netns", "del", name])
    except (subprocess.SubprocessError, OSError):
        return False
    return True


@contextmanager
def lossy_network() -> Iterator[Network]:
    """Make the namespaces and the link, and remove them after the body."""
    here, there = f"lk-s-{os.getpid()}", f"lk-c-{os.getpid()}"
    try:
        for name in (here, there):
            _run(["ip", "netns", "add", name])
        _run(["ip", "-n", here, "link", "add", "vs", "type", "veth", "peer", "name", "vc", "netns", there])
        for name, device, address in ((here, "vs", SERVER), (there, "vc", CLIENTS)):
            _run(["ip", "-n", name, "addr", "add", f"{address}/24", "dev", device])
            _run(["ip", "-n", name, "link", "set", "lo", "up"])
            _run(["ip", "-n", name, "link", "set", device, "up"])
        enter = [["ip", "netns", "exec", name] for name in (here, there)]
        yield Network(SERVER, *enter, there)
    finally:
        for name in (here, there):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False, timeout=20)
