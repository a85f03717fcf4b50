"""aiortc's SCTP association, made fast enough for a server that forwards.

The protocol machine is aiortc's, unchanged. Overridden is what costs time per packet: several chunks go into one
packet and one acknowledgement answers several packets (aiortc does neither), chunks that arrive in order take a
short way, and coroutines that never wait are run without tasks. And what costs time per loss: retransmission starts
after the measured round trip instead of after a second, and backs off.

This file and `_vendor/aiortc` belong together: the members used here are private to aiortc.
"""
# ruff: noqa: SLF001 - the overrides work on the state of their base class

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from struct import pack_into, unpack_from
from typing import Any, Protocol

from google_crc32c import value as crc32c

from aiolivekit._vendor.aiortc import rtcsctptransport as base
from aiolivekit._vendor.aiortc.rtcdatachannel import RTCDataChannel
from aiolivekit.server.sctp_guard import GuardedAssociation, packet_well_formed, well_formed

__all__ = ["RECEIVE_WINDOW", "Association", "Lower", "Owner", "run_now"]

RTO_INITIAL = 0.5
RTO_MIN = 0.1
RTO_MAX = 2.0
"""Seconds of retransmission timeouts; the RFC's minimum of one second is made for the internet of 1988."""

INITIAL_WINDOW = 32 * 1024
"""Bytes in flight before the first acknowledgement."""

RECEIVE_WINDOW = 2 * 1024 * 1024
"""Bytes we let the peer have in flight."""

PACKETS_PER_ACK = 4
"""Data packets after which an acknowledgement goes out at the latest; else at the end of the loop's turn."""

MAX_BURST = 16
"""Packets sent on one acknowledgement."""

_DATA = 0
_UNORDERED, _FIRST, _LAST = 4, 2, 1


def run_now(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never suspends; below the association everything is synchronous here."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("a coroutine of the SCTP layer suspended")


class Owner(Protocol):
    """Who is told what the association does."""

    def opened(self) -> None:
        """Take note that it is established."""

    def lost(self) -> None:
        """Take note that it ended."""

    def delivered(self, stream_id: int, data: bytes) -> None:
        """Take a message."""


class Lower:
    """What aiortc takes for the DTLS transport."""

    def __init__(self, send: Callable[[bytes], None], *, server: bool) -> None:
        self.state = "connected"
        self._role = "server" if server else "client"
        self._send = send

    def _register_data_receiver(self, receiver: object) -> None:
        pass

    def _unregister_data_receiver(self, receiver: object) -> None:
        pass

    async def _send_data(self, data: bytes) -> None:
        self._send(data)


class Association(GuardedAssociation):
    """aiortc's association with the overrides the module speaks of."""

    def __init__(self, owner: Owner, lower: Lower, send: Callable[[bytes], None]) -> None:
        super().__init__(lower)
        self._owner = owner
        self._send_packet = send
        self._event_loop = asyncio.get_running_loop()
        self._rto = RTO_INITIAL
        self._cwnd = INITIAL_WINDOW
        self._ssthresh = RECEIVE_WINDOW
        self._advertised_rwnd = RECEIVE_WINDOW
        self._unacknowledged = 0
        self._ack_scheduled = False
        self._flush_scheduled = False
        self._retransmissions = 0

    # receiving

    def handle(self, data: bytes) -> None:
        """Take one SCTP packet."""
        length = len(data)
        if length < 16:
            return
        (checksum,) = unpack_from("<L", data, 8)
        if checksum != crc32c(data[:8] + b"\x00\x00\x00\x00" + data[12:]):
            return
        if data[12] != _DATA or self._association_state is not self.State.ESTABLISHED:
            if packet_well_formed(data):
                run_now(self._handle_data(data))
            return
        if unpack_from("!L", data, 4)[0] != self._local_verification_tag:
            return
        position = 12
        while position + 4 <= length:
            kind, flags, size = unpack_from("!BBH", data, position)
            end = position + size
            if size < 4 or end > length:
                return
            if kind != _DATA:
                # The rest of the packet holds control chunks: the general way.
                chunk_class = base.CHUNK_TYPES.get(kind)
                if chunk_class is not None and well_formed(kind, data[position + 4 : end]):
                    run_now(self._receive_chunk(chunk_class(flags=flags, body=data[position + 4 : end])))
            elif size >= 16:
                self._receive_data(flags, data, position, end)
            position = end + (-size & 3)
        if self._sack_needed:
            self._unacknowledged += 1
            if self._unacknowledged >= PACKETS_PER_ACK:
                self._acknowledge()
            elif not self._ack_scheduled:
                self._ack_scheduled = True
                self._event_loop.call_soon(self._acknowledge_later)

    def _receive_data(self, flags: int, data: bytes, position: int, end: int) -> None:
        tsn, stream_id, sequence, protocol = unpack_from("!LHHL", data, position + 4)
        self._sack_needed = True
        last = self._last_received_tsn
        assert last is not None
        stream = self._inbound_streams.get(stream_id)
        if stream is None:
            stream = self._get_inbound_stream(stream_id)
        if tsn != (last + 1) & 0xFFFFFFFF or self._sack_misordered:
            self._receive_out_of_order(flags, data, position, end)
            return
        self._last_received_tsn = tsn
        if self._sack_duplicates:
            self._sack_duplicates.clear()
        if flags & 3 == 3 and not stream.reassembly:
            if flags & _UNORDERED:
                self._deliver(stream_id, protocol, data[position + 16 : end])
                return
            if sequence == stream.sequence_number:
                stream.sequence_number = (sequence + 1) & 0xFFFF
                self._deliver(stream_id, protocol, data[position + 16 : end])
                return
        chunk = base.DataChunk(flags=flags, body=data[position + 4 : end])
        self._fragment_kept()
        stream.add_chunk(chunk)
        self._advertised_rwnd -= len(chunk.user_data)
        if flags & _LAST:
            for message in stream.pop_messages():
                self._advertised_rwnd += len(message[2])
                self._deliver(*message)
        if self._reconfig_deferred is not None:
            run_now(self._reset_deferred_streams())

    def _receive_out_of_order(self, flags: int, data: bytes, position: int, end: int) -> None:
        run_now(self._receive_data_chunk(base.DataChunk(flags=flags, body=data[position + 4 : end])))

    def _deliver(self, stream_id: int, protocol: int, data: bytes) -> None:
        if protocol in (base.WEBRTC_BINARY, base.WEBRTC_STRING):
            self._owner.delivered(stream_id, data)
        else:
            run_now(self._data_channel_receive(stream_id, protocol, data))

    async def _receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        self._deliver(stream_id, pp_id, data)

    async def _receive_chunk(self, chunk: base.Chunk) -> None:
        # The base takes every INIT for the beginning of the association, and would forget what it has received. One
        # that comes late or twice must change nothing (RFC 9260, section 5.2.2).
        if isinstance(chunk, base.InitChunk) and self._association_state is self.State.ESTABLISHED:
            return
        await super()._receive_chunk(chunk)

    def _acknowledge_later(self) -> None:
        self._ack_scheduled = False
        if self._sack_needed and self._association_state is not self.State.CLOSED:
            self._acknowledge()

    def _acknowledge(self) -> None:
        self._unacknowledged = 0
        run_now(self._send_sack())

    # sending

    async def _send_chunk(self, chunk: base.Chunk) -> None:
        self._send_packet(
            base.serialize_packet(self._local_port, self._remote_port or 5000, self._remote_verification_tag, chunk)
        )

    def _data_channel_send(self, channel: RTCDataChannel, data: bytes | str) -> None:
        assert isinstance(data, bytes)
        if self._remote_max_message_size and len(data) > self._remote_max_message_size:
            raise ValueError("the message is larger than the peer takes")
        channel._addBufferedAmount(len(data))
        self._data_channel_queue.append((channel, base.WEBRTC_BINARY, data))
        if not self._flush_scheduled:
            # At the end of the loop's turn, so that the messages of the turn share packets.
            self._flush_scheduled = True
            self._event_loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._association_state is self.State.ESTABLISHED:
            run_now(self._data_channel_flush())

    async def _data_channel_flush(self) -> None:
        if self._association_state is not self.State.ESTABLISHED:
            return
        # The base sends each message as it moves it; here they are moved first and share packets.
        while self._data_channel_queue and len(self._outbound_queue) < 256:
            channel, protocol, user_data = self._data_channel_queue.popleft()
            stream_id = channel.id
            if stream_id is None:
                stream_id = self._data_channel_id or 0
                while stream_id in self._data_channels:
                    stream_id += 2
                self._data_channels[stream_id] = channel
                channel._setId(stream_id)
            if protocol == base.WEBRTC_DCEP:
                self._enqueue(stream_id, protocol, user_data, None, ordered=True)
            else:
                self._enqueue(stream_id, protocol, user_data, channel.maxRetransmits, ordered=channel.ordered)
                channel._addBufferedAmount(-len(user_data))
        self._send_outbound()
        await self._transmit_reconfig()

    def _enqueue(
        self, stream_id: int, protocol: int, data: bytes, max_retransmits: int | None, *, ordered: bool
    ) -> None:
        sequence = self._outbound_stream_seq.get(stream_id, 0) if ordered else 0
        size = len(data)
        position = 0
        while True:
            chunk = base.DataChunk()
            end = position + base.USERDATA_MAX_LENGTH
            chunk.flags = (
                (0 if ordered else _UNORDERED) | (_FIRST if position == 0 else 0) | (_LAST if end >= size else 0)
            )
            chunk.tsn = self._local_tsn
            chunk.stream_id = stream_id
            chunk.stream_seq = sequence
            chunk.protocol = protocol
            chunk.user_data = data[position:end] if size > base.USERDATA_MAX_LENGTH else data
            chunk._abandoned = chunk._acked = chunk._in_flight = chunk._retransmit = False
            chunk._book_size = len(chunk.user_data)
            chunk._expiry = None
            chunk._max_retransmits = max_retransmits
            chunk._misses = chunk._sent_count = 0
            chunk._sent_time = None
            self._local_tsn = (self._local_tsn + 1) & 0xFFFFFFFF
            self._outbound_queue.append(chunk)
            position = end
            if position >= size:
                break
        if ordered:
            self._outbound_stream_seq[stream_id] = (sequence + 1) & 0xFFFF

    async def _send(
        self,
        stream_id: int,
        pp_id: int,
        user_data: bytes,
        expiry: float | None = None,
        max_retransmits: int | None = None,
        ordered: bool = True,
    ) -> None:
        self._enqueue(stream_id, pp_id, user_data, max_retransmits, ordered=ordered)
        self._send_outbound()

    async def _transmit(self) -> None:
        self._send_outbound()

    def _send_outbound(self) -> None:
        if self._forward_tsn_chunk is not None:
            run_now(self._send_chunk(self._forward_tsn_chunk))
            self._forward_tsn_chunk = None
            if not self._t3_handle:
                self._t3_start()
        window = min(self._flight_size + MAX_BURST * base.USERDATA_MAX_LENGTH, self._cwnd)
        packet: list[bytes] = []
        room = base.SCTP_MAX_PACKET_LENGTH - base.SCTP_COMMON_HEADER_LENGTH
        now = time.time()
        if self._retransmissions:
            room = self._send_again(window, packet, room)
        queue = self._outbound_queue
        sent = False
        while queue and self._flight_size < window:
            chunk = queue.popleft()
            self._sent_queue.append(chunk)
            self._flight_size_increase(chunk)
            chunk._sent_count += 1
            chunk._sent_time = now
            data = bytes(chunk)
            if len(data) > room:
                self._send_bundle(packet)
                room = base.SCTP_MAX_PACKET_LENGTH - base.SCTP_COMMON_HEADER_LENGTH
            packet.append(data)
            room -= len(data)
            sent = True
        if packet:
            self._send_bundle(packet)
        if sent and not self._t3_handle:
            self._t3_start()

    def _send_again(self, window: int, packet: list[bytes], room: int) -> int:
        """Add the chunks marked for retransmission to the packet; returns the room left in it."""
        earliest = True
        remaining = 0
        full = base.SCTP_MAX_PACKET_LENGTH - base.SCTP_COMMON_HEADER_LENGTH
        for chunk in self._sent_queue:
            if not chunk._retransmit:
                earliest = False
                continue
            if self._fast_recovery_transmit:
                self._fast_recovery_transmit = False
            elif self._flight_size >= window:
                remaining += 1
                break
            self._flight_size_increase(chunk)
            chunk._misses = 0
            chunk._retransmit = False
            chunk._sent_count += 1
            data = bytes(chunk)
            if len(data) > room:
                self._send_bundle(packet)
                room = full
            packet.append(data)
            room -= len(data)
            if earliest:
                self._t3_restart()
            earliest = False
        self._retransmissions = remaining
        return room

    def _send_bundle(self, chunks: list[bytes]) -> None:
        if not chunks:
            return
        packet = bytearray(12)
        pack_into(
            "!HHL",
            packet,
            0,
            self._local_port,
            self._remote_port or 5000,
            self._remote_verification_tag,
        )
        packet += b"".join(chunks)
        chunks.clear()
        pack_into("<L", packet, 8, crc32c(bytes(packet)))
        self._send_packet(bytes(packet))

    async def _receive_sack_chunk(self, chunk: base.SackChunk) -> None:
        if chunk.gaps:
            self._retransmissions = 1
        await super()._receive_sack_chunk(chunk)

    def _update_rto(self, R: float) -> None:  # noqa: N803 - the base's name
        super()._update_rto(R)
        assert self._srtt is not None
        assert self._rttvar is not None
        self._rto = max(RTO_MIN, min(self._srtt + 4 * self._rttvar, RTO_MAX))

    def _t3_expired(self) -> None:
        self._retransmissions = 1
        super()._t3_expired()
        self._rto = min(self._rto * 2, RTO_MAX)

    def _set_state(self, state: base.RTCSctpTransport.State) -> None:
        before = self._association_state
        super()._set_state(state)
        if state is not before:
            if state is self.State.ESTABLISHED:
                self._flush()
                self._owner.opened()
            elif state is self.State.CLOSED:
                self._owner.lost()
