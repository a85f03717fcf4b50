"""A load of bare RTP: some rooms, in each one publisher and some subscribers, and a count of what arrives."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from aiolivekit.server.dtls import Certificate

from .client import RawClient
from .wire import RawTransport

__all__ = ["Load", "Outcome", "Receiver", "Sender"]

BURST_INTERVAL = 0.002
"""Seconds between bursts of a sender."""

CATCH_UP = 1.5
LONGEST_PAUSE = 0.02
"""How much faster than the rate a sender may send when it is late, and the longest time it makes up for at once: a
pause of the sender's process must not become a flood for the server."""

START_TIMEOUT = 20.0
SETTLE = 0.5
"""Seconds for the first packets to arrive, and for the last ones."""


@dataclass(frozen=True)
class Load:
    """What is sent.

    Args:
        rooms: Rooms, with one publisher each.
        subscribers: Of each room.
        rate: Packets a second that each publisher sends.
        seconds: For how long.
        size: Of a payload, in bytes.
        kind: "audio" (Opus) or "video" (VP8).
    """

    rooms: int = 5
    subscribers: int = 1
    rate: float = 3000.0
    seconds: float = 60.0
    size: int = 1000
    kind: str = "audio"

    @property
    def forwards(self) -> float:
        """Packets a second that the server sends."""
        return self.rooms * self.subscribers * self.rate


@dataclass
class Receiver:
    """Counts the packets of one subscriber; every payload carries its number."""

    received: int = 0
    out_of_order: int = 0
    last: int = -1

    def take(self, packet: bytes) -> None:
        """Take an RTP packet."""
        if packet[0] != 0x80:
            return
        number = int.from_bytes(packet[-8:], "big")
        self.received += 1
        if number != self.last + 1 and self.last >= 0:
            self.out_of_order += 1
        self.last = number


class Sender:
    """Sends numbered packets at an even rate."""

    def __init__(self, transport: RawTransport, ssrc: int, load: Load) -> None:
        self.sent = 0
        self._transport = transport
        self._ssrc = ssrc
        self._load = load
        self._video = load.kind == "video"
        self._filling = bytes(load.size - 8)

    def send(self, count: int) -> None:
        """Send so many packets."""
        outbound = self._transport.outbound
        assert outbound is not None
        protect, send = outbound.protect, self._transport.send
        payload_type, step = (0x80 | 96, 3000) if self._video else (111, 960)
        for number in range(self.sent, self.sent + count):
            payload = self._filling
            if self._video:
                # One packet a picture, each a key frame of its own: extended descriptor with a long picture id.
                payload = b"\x90\x80" + struct.pack("!H", 0x8000 | number & 0x7FFF) + b"\x10" + payload[5:]
            head = struct.pack("!BBHII", 0x80, payload_type, number & 0xFFFF, number * step & 0xFFFFFFFF, self._ssrc)
            send(protect(head + payload + number.to_bytes(8, "big")))
        self.sent += count


@dataclass
class Outcome:
    """What came of a load."""

    seconds: float
    sent: int
    expected: int
    received: int
    out_of_order: int
    server_cpu: float
    client_cpu: float

    @property
    def lost(self) -> int:
        """Packets that did not arrive."""
        return self.expected - self.received

    @property
    def per_core(self) -> float:
        """Packets a second that the server would forward on one core at this cost."""
        return self.received / self.server_cpu if self.server_cpu else 0.0


async def _pace(senders: list[Sender], load: Load) -> None:
    total = int(load.rate * load.seconds)
    ends = [sender.sent + total for sender in senders]
    began = before = time.perf_counter()
    while any(sender.sent < end for sender, end in zip(senders, ends, strict=True)):
        await asyncio.sleep(BURST_INTERVAL)
        now = time.perf_counter()
        burst = max(1, round(min(now - before, LONGEST_PAUSE) * load.rate * CATCH_UP))
        before = now
        left = max(0, total - int((now - began) * load.rate))
        for sender, end in zip(senders, ends, strict=True):
            if (missing := end - left - sender.sent) > 0:
                sender.send(min(missing, burst))


async def _first_packets(senders: list[Sender], receivers: list[Receiver]) -> None:
    # Servers announce a track to subscribers when its first packets come, and start a stream at one of them.
    async with asyncio.timeout(START_TIMEOUT):
        while any(receiver.received == 0 for receiver in receivers):
            for sender in senders:
                sender.send(1)
            await asyncio.sleep(0.02)
    await asyncio.sleep(SETTLE)


async def run_load(
    url: str, token: Callable[[str, str], str], load: Load, server_cpu: Callable[[], float], prefix: str = "raw"
) -> Outcome:
    """Run a load against a server.

    Args:
        url: Of the server.
        token: Returns a token for an identity and a room.
        load: What to send.
        server_cpu: Returns the CPU seconds that the server has used.
        prefix: Begins the names of the rooms.
    """
    certificate = Certificate()
    senders: list[Sender] = []
    receivers: list[Receiver] = []
    async with AsyncExitStack() as stack:
        for number in range(load.rooms):
            room = f"{prefix}-{number}"
            publisher = await stack.enter_async_context(RawClient(certificate))
            await publisher.join(url, token("publisher", room), subscribe=False)
            (ssrc,) = await publisher.publish(load.kind)
            senders.append(Sender(publisher.publisher, ssrc, load))
            for index in range(load.subscribers):
                receivers.append(Receiver())
                client = await stack.enter_async_context(RawClient(certificate, receivers[-1].take))
                await client.join(url, token(f"subscriber-{index}", room), subscribe=True)
        await _first_packets(senders, receivers)
        sent = sum(sender.sent for sender in senders)
        received = sum(receiver.received for receiver in receivers)
        disorder = sum(receiver.out_of_order for receiver in receivers)
        cpu, own, began = server_cpu(), time.process_time(), time.perf_counter()
        await _pace(senders, load)
        took = time.perf_counter() - began
        await asyncio.sleep(SETTLE)
        sent = sum(sender.sent for sender in senders) - sent
        return Outcome(
            seconds=took,
            sent=sent,
            expected=sent * load.subscribers,
            received=sum(receiver.received for receiver in receivers) - received,
            out_of_order=sum(receiver.out_of_order for receiver in receivers) - disorder,
            server_cpu=server_cpu() - cpu,
            client_cpu=time.process_time() - own,
        )
