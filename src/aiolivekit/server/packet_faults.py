"""Faults of packets: dropped, late, twice, or out of order, by their number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from aiolivekit.server.fault import Firing

if TYPE_CHECKING:
    from aiolivekit.server.fault import Direction
    from aiolivekit.server.faults import Faults
    from aiolivekit.server.ice import IceAgent, IceMux

__all__ = ["PacketFault", "PacketFaults", "PacketKind", "kind_of"]

PacketKind = Literal["any", "stun", "dtls", "sctp", "rtp", "rtcp"]
"""Of SCTP only its DTLS records are seen from outside; "dtls" is the handshake."""


def kind_of(data: bytes) -> PacketKind:
    """Return what a packet is, as far as the first bytes tell."""
    if not data or data[0] < 4:
        return "stun"
    if data[0] < 64:
        return "sctp" if data[0] == 23 else "dtls"
    if len(data) > 1 and 63 < data[1] & 0x7F < 96:
        return "rtcp"
    return "rtp"


def _identity(agent: IceAgent) -> str:
    return str(getattr(agent.owner, "identity", ""))


class PacketFault(Firing):
    """A fault of packets that was installed; see `Faults` for what the arguments mean."""

    def __init__(
        self,
        faults: Faults,
        name: str,
        kind: PacketKind,
        identity: str | None,
        direction: Direction | None,
        nth: int,
        every: int,
        count: int,
        delay: float,
    ) -> None:
        if nth < 1 or every < 1 or count < 0 or delay < 0:
            raise ValueError("nth and every count from 1; count and delay are not negative")
        super().__init__()
        self.name = name
        self.kind = kind
        self.identity = identity
        self.direction = direction
        self.delay = delay
        self.seen = 0
        self.waiting: Callable[[], None] | None = None
        self._nth = nth
        self._every = every
        self._count = count
        self._faults = faults

    @property
    def spent(self) -> bool:
        """Whether it will not fire again."""
        return bool(self._count) and self.fired >= self._count

    def lift(self) -> None:
        """Remove it."""
        self._faults.packets.remove(self)

    def concerns(self, identity: str, kind: PacketKind, *, incoming: bool) -> bool:
        """Whether it is about packets like this one."""
        return (
            self.kind in ("any", kind)
            and self.identity in (None, identity)
            and self.direction in (None, "in" if incoming else "out")
        )

    def hits(self) -> bool:
        """Count a packet it is about; whether this is one it acts on."""
        self.seen += 1
        return not self.spent and self.seen >= self._nth and not (self.seen - self._nth) % self._every


class PacketFaults:
    """The packet faults of one server; while there are none, packets do not come by here."""

    def __init__(self, faults: Faults, mux: IceMux) -> None:
        self._faults = faults
        self._mux = mux
        self._active: list[PacketFault] = []

    def install(
        self,
        name: str,
        kind: PacketKind,
        identity: str | None,
        direction: Direction | None,
        nth: int,
        every: int,
        count: int,
        delay: float = 0.0,
    ) -> PacketFault:
        """Install a fault; `Faults` has the methods for it."""
        fault = PacketFault(self._faults, name, kind, identity, direction, nth, every, count, delay)
        self._active.append(fault)
        self._mux.packet_filter = self._filter
        return fault

    def remove(self, fault: PacketFault) -> None:
        """Remove a fault; a packet it holds goes on."""
        if fault in self._active:
            self._active.remove(fault)
        self._let_go(fault)
        if not self._active:
            self._mux.packet_filter = None

    def clear(self) -> None:
        """Remove all faults."""
        for fault in list(self._active):
            self.remove(fault)

    @staticmethod
    def _let_go(fault: PacketFault) -> None:
        waiting, fault.waiting = fault.waiting, None
        if waiting is not None:
            # In a turn of its own: this may be in the midst of sending, and the packet one that came in.
            asyncio.get_running_loop().call_soon(waiting)

    def _filter(self, agent: IceAgent, data: bytes, incoming: bool, deliver: Callable[[bytes], None]) -> None:
        identity, kind = _identity(agent), kind_of(data)
        copies, delay = 1, 0.0
        for fault in list(self._active):
            if not fault.concerns(identity, kind, incoming=incoming):
                continue
            if not fault.hits():
                if fault.waiting is not None:
                    deliver(data)
                    self._let_go(fault)
                    self._drop_spent(fault)
                    return
                continue
            # A delay or a blackout may fire a thousand times a second; only its first time is worth a line.
            if fault.name not in ("blackout", "delay_packets") or not fault.fired:
                self._faults.note_packet(fault.name, identity, kind)
            fault.count_fired()
            if fault.name in ("drop_packets", "blackout"):
                self._drop_spent(fault)
                return
            if fault.name == "reorder_packets":
                fault.waiting = lambda: deliver(data)
                return
            if fault.name == "duplicate_packets":
                copies = 2
            else:
                delay = max(delay, fault.delay)
            self._drop_spent(fault)
        for _ in range(copies):
            if delay:
                asyncio.get_running_loop().call_later(delay, deliver, data)
            else:
                deliver(data)

    def _drop_spent(self, fault: PacketFault) -> None:
        if fault.spent and fault.waiting is None:
            self.remove(fault)
