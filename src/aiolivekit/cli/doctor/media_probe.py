"""Probes that join: over whatever path comes up, over UDP alone, over TCP alone, and with messages there and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

import aiohttp

from ...errors import ConnectTimeoutError, LiveKitError, TransportError
from ...stats import IceCandidateStats, IceCandidateType
from ..output import describe_error
from .address import Address
from .findings import DataFinding, JoinFinding, Pair, PathFinding
from .narrowing import Narrowing, narrowed

if TYPE_CHECKING:
    from ...room.packets import DataPacket
    from ...room.room import Room
    from ...stats import RtcStats

__all__ = ["join", "pair_in_force", "try_path"]

_ROUND_TRIPS = 20
_TOPIC = "aiolivekit.doctor"


def pair_in_force(stats: Sequence[RtcStats]) -> Pair | None:
    """Return the selected candidate pair of a connection's stats, `None` if there is none."""
    selected = {each.transport.transport.selected_candidate_pair_id for each in stats if each.HasField("transport")}
    pairs = [each.candidate_pair for each in stats if each.HasField("candidate_pair")]
    pair = next((each.candidate_pair for each in pairs if each.rtc.id in selected), None)
    if pair is None:
        return None
    # libwebrtc forgets candidates before the pair they are of.
    ours = (each.local_candidate for each in stats if each.HasField("local_candidate"))
    theirs = (each.remote_candidate for each in stats if each.HasField("remote_candidate"))
    local = next((each.candidate for each in ours if each.rtc.id == pair.local_candidate_id), IceCandidateStats())
    remote = next((each.candidate for each in theirs if each.rtc.id == pair.remote_candidate_id), IceCandidateStats())
    protocol = local.protocol or remote.protocol or "udp"
    if local.candidate_type is IceCandidateType.RELAY:
        protocol = local.relay_protocol.name.removeprefix("TRANSPORT_")
    return Pair(
        protocol.lower(),
        local.candidate_type.name.lower(),
        remote.candidate_type.name.lower(),
        # Until a check was answered there is none.
        pair.current_round_trip_time or None,
    )


@asynccontextmanager
async def _joined(url: str, token: str, timeout: float) -> AsyncIterator[Room]:
    """Join without media.

    Raises:
        LiveKitError: If that fails.
        TimeoutError: If it takes too long.
    """
    from ... import Room, RoomOptions

    room = Room()
    try:
        async with asyncio.timeout(timeout):
            await room.connect(url, token, RoomOptions(auto_subscribe=False, join_retries=0, connect_timeout=timeout))
        yield room
    finally:
        await room.disconnect()


async def _pair(room: Room) -> Pair | None:
    stats = await room.get_rtc_stats()
    return pair_in_force(stats.publisher_stats) or pair_in_force(stats.subscriber_stats)


def _came_late(error: LiveKitError) -> bool:
    """Whether signalling was all right and media were not."""
    return isinstance(error, ConnectTimeoutError | TransportError)


async def join(
    session: aiohttp.ClientSession, address: Address, token: str, second_token: str | None, timeout: float
) -> tuple[JoinFinding, DataFinding | None, float]:
    """Join by whatever path comes up, and measure round trips.

    Args:
        session: For signalling.
        address: The server.
        token: Ours.
        second_token: Of a participant to exchange messages with; without one the path's own measurement is taken.
        timeout: Seconds for each of the two.

    Returns:
        What was found, and the seconds the join took.
    """
    from ... import Room  # noqa: F401 - loading libwebrtc is no part of the join

    start = time.perf_counter()
    async with narrowed(session, address, Narrowing()) as url:
        try:
            async with _joined(url, token, timeout) as room:
                took = time.perf_counter() - start
                found = JoinFinding(single_peer_connection=room.single_peer_connection, pair=await _pair(room))
                return found, await _round_trips(room, url, second_token, timeout), took
        except TimeoutError:
            return JoinFinding(timeout=True), None, time.perf_counter() - start
        except LiveKitError as error:
            failed = JoinFinding(error=describe_error(error), timeout=_came_late(error))
            return failed, None, time.perf_counter() - start


async def _round_trips(room: Room, url: str, second_token: str | None, timeout: float) -> DataFinding:
    if second_token is None:
        pair = await _pair(room)
        known = pair is not None and pair.round_trip is not None
        return DataFinding((pair.round_trip,) if known else (), messages=False)  # type: ignore[union-attr,arg-type]
    trips: list[float] = []
    try:
        async with _joined(url, second_token, timeout) as other:
            async with asyncio.timeout(timeout):
                await _exchange(room, other, trips)
    except TimeoutError:
        return DataFinding(tuple(trips), sent=_ROUND_TRIPS, error="no message came back in time")
    except LiveKitError as error:
        return DataFinding(tuple(trips), sent=_ROUND_TRIPS, error=describe_error(error))
    return DataFinding(tuple(trips), sent=_ROUND_TRIPS)


async def _exchange(room: Room, other: Room, trips: list[float]) -> None:
    """Send a message and wait for its echo, again and again."""
    back: asyncio.Queue[bytes] = asyncio.Queue()

    async def echo(packet: DataPacket) -> None:
        if packet.topic == _TOPIC:
            await other.local_participant.publish_data(
                packet.data, topic=_TOPIC, destination_identities=[room.local_participant.identity]
            )

    def heard(packet: DataPacket) -> None:
        if packet.topic == _TOPIC:
            back.put_nowait(packet.data)

    other.on("data_received", echo)
    room.on("data_received", heard)
    try:
        for number in range(_ROUND_TRIPS):
            payload = b"%d" % number
            start = time.perf_counter()
            await room.local_participant.publish_data(
                payload, topic=_TOPIC, destination_identities=[other.local_participant.identity]
            )
            while await back.get() != payload:
                pass
            trips.append(time.perf_counter() - start)
    finally:
        room.off("data_received", heard)
        other.off("data_received", echo)


async def try_path(
    session: aiohttp.ClientSession, address: Address, token: str, protocol: Literal["udp", "tcp"], timeout: float
) -> PathFinding:
    """Join once more with candidates of one protocol alone, and without relays."""
    narrowing = Narrowing((protocol,), relays=False)
    async with narrowed(session, address, narrowing) as url:
        try:
            async with _joined(url, token, timeout) as room:
                return PathFinding(protocol, narrowing.offered[protocol], connected=True, pair=await _pair(room))
        except TimeoutError:
            return PathFinding(protocol, narrowing.offered[protocol])
        except LiveKitError as error:
            words = "" if _came_late(error) else describe_error(error)
            return PathFinding(protocol, narrowing.offered[protocol], error=words)
