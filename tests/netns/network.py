"""A network namespace of Linux at the end of a link, and what happens to the link. Needs root, iproute2 and iptables.

The server stays outside, on this end's address; the client runs inside (`Network.enter`). Nothing is routed: all that
can be reached from inside is this end of the link.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

__all__ = ["Network", "apart", "missing_tools", "network", "probe"]

Direction = Literal["in", "out", "both"]

_PREFIX = "lkn"
_NAME = re.compile(rf"^{_PREFIX}(\d+)x\d+$")
_SUBNETS = 250
_LIMIT = 20.0
_CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


class Network:
    """The link; made by `network`.

    Args:
        name: Of the namespace; the devices have it, too.
        subnet: The first three bytes of its addresses.
    """

    def __init__(self, name: str, subnet: str) -> None:
        self.host = f"{subnet}.1"
        """The address on this end, where servers listen."""
        self.enter = ["ip", "netns", "exec", name]
        """What comes before a command that is to run inside."""
        self._name = name
        self._subnet = subnet
        self._device = f"{name}c"
        self._last_byte = 2

    @property
    def address(self) -> str:
        """The client's address as it is now."""
        return f"{self._subnet}.{self._last_byte}"

    def reach(self, address: str) -> None:
        """Let what is inside reach another address of this end, such as that of another link's."""
        _run(["ip", "-n", self._name, "route", "add", f"{address}/32", "via", self.host])

    def loss(self, *, every_nth: int = 0, probability: float = 0.0, direction: Direction = "both") -> None:
        """Lose packets of every protocol from now on, instead of those that were lost so far.

        Args:
            every_nth: Which of them, each direction for itself; 1 is a black hole, of which neither end is told.
            probability: How many of them, from 0 to 1.
            direction: As the client sees it.

        Raises:
            ValueError: If neither or both are given.
        """
        if (every_nth > 0) == (probability > 0):
            raise ValueError("one of every_nth and probability")
        self.no_loss()
        if every_nth == 1:
            which = []
        elif every_nth:
            which = ["-m", "statistic", "--mode", "nth", "--every", str(every_nth), "--packet", "0"]
        else:
            which = ["-m", "statistic", "--mode", "random", "--probability", str(probability)]
        for way, chain, device in (("in", "INPUT", "-i"), ("out", "OUTPUT", "-o")):
            if direction in (way, "both"):
                _run([*self.enter, "iptables", "-w", "-A", chain, device, self._device, *which, "-j", "DROP"])

    def no_loss(self) -> None:
        """Lose nothing more."""
        _run([*self.enter, "iptables", "-w", "-F"])

    def lost(self) -> dict[str, int]:
        """Return how many packets were lost since `loss`, by direction."""
        found = {}
        for way, chain in (("in", "INPUT"), ("out", "OUTPUT")):
            out = _run([*self.enter, "iptables", "-w", "-nvxL", chain])
            found[way] = sum(int(line.split()[0]) for line in out.splitlines() if " DROP " in line)
        return found

    def link_down(self) -> None:
        """Take the client's device down, as a pulled cable does: the client's kernel knows."""
        _run(["ip", "-n", self._name, "link", "set", self._device, "down"])

    def link_up(self) -> None:
        """Take it up again, with the address it had."""
        _run(["ip", "-n", self._name, "link", "set", self._device, "up"])

    def change_address(self) -> None:
        """Give the client another address instead of the one it has, as another access point does."""
        old = self.address
        self._last_byte += 1
        # In this order: the kernel takes away with an address all that were added to its subnet after it.
        _run(["ip", "-n", self._name, "addr", "del", f"{old}/24", "dev", self._device])
        _run(["ip", "-n", self._name, "addr", "add", f"{self.address}/24", "dev", self._device])


def missing_tools() -> list[str]:
    """Return the Debian packages that are missing."""
    return [package for tool, package in (("ip", "iproute2"), ("iptables", "iptables")) if shutil.which(tool) is None]


def probe() -> str | None:
    """Say why namespaces cannot be used here, or `None`. `missing_tools` is asked first."""
    if not hasattr(os, "geteuid") or os.geteuid():
        return "network namespaces need root on Linux"
    try:
        with apart(), network() as made:
            made.loss(every_nth=10)
    except (subprocess.SubprocessError, OSError) as error:
        words = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        return f"the kernel allows no network namespaces with lossy links here: {words}"
    return None


@contextmanager
def apart() -> Iterator[None]:
    """Move this thread, and what it starts, into a network of its own.

    Links that come and go are seen by every process in a namespace, and ICE may choose them: other tests would lose
    their media path with a link of ours.

    Raises:
        OSError: If the kernel does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as before:  # noqa: PTH123 - its descriptor is what is wanted
        _check(libc.unshare(_CLONE_NEWNET))
        try:
            _run(["ip", "link", "set", "lo", "up"])
            yield
        finally:
            _check(libc.setns(before.fileno(), _CLONE_NEWNET))


def _check(status: int) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def network() -> Iterator[Network]:
    """Make a namespace and its link; both are gone after the body.

    What a run that crashed has left goes as well.

    Raises:
        subprocess.CalledProcessError: If the kernel does not allow it.
    """
    _clear_up()
    number = next(_numbers)
    name = f"{_PREFIX}{os.getpid()}x{number}"
    try:
        _run(["ip", "netns", "add", name])
        yield _connected(name, number)
    finally:
        _remove(name)


def _connected(name: str, number: int) -> Network:
    here, there = f"{name}h", f"{name}c"
    _run(["ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name])
    made = Network(name, _free_subnet(number))
    _run(["ip", "addr", "add", f"{made.host}/24", "dev", here])
    _run(["ip", "link", "set", here, "up"])
    _run(["ip", "-n", name, "addr", "add", f"{made.address}/24", "dev", there])
    _run(["ip", "-n", name, "link", "set", "lo", "up"])
    _run(["ip", "-n", name, "link", "set", there, "up"])
    return made


def _free_subnet(number: int) -> str:
    # By process, so that two that look at the same time do not find the same.
    start = os.getpid() * 7 + number
    routes = _run(["ip", "-4", "route", "show", "table", "all"])
    for offset in range(_SUBNETS):
        subnet = f"10.213.{(start + offset) % _SUBNETS}"
        if f"{subnet}." not in routes:
            return subnet
    raise OSError("no subnet is free")


def _clear_up() -> None:
    """Remove what processes have left that are gone."""
    with suppress(subprocess.SubprocessError, OSError):
        for line in _run(["ip", "netns", "list"]).splitlines():
            found = _NAME.match(line.split()[0]) if line.split() else None
            if found is not None and not Path("/proc", found[1]).exists():
                _remove(found[0])


def _remove(name: str) -> None:
    # The link first: a process that still runs inside would keep the namespace, and with it the link.
    for command in (["ip", "link", "del", f"{name}h"], ["ip", "netns", "del", name]):
        with suppress(subprocess.SubprocessError, OSError):
            subprocess.run(command, capture_output=True, check=False, timeout=_LIMIT)


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_LIMIT).stdout
