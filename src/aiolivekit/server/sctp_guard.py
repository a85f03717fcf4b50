"""What a peer of an SCTP association may not do to us: checks in front of aiortc's protocol machine.

aiortc trusts its peer: it reads parameters of length zero for ever, walks through whatever an acknowledgement claims,
and keeps all it is sent. Here a chunk that no honest peer sends is dropped or ends the association.

This file and `_vendor/aiortc` belong together: the members used here are private to aiortc.
"""

from __future__ import annotations

from struct import Struct

from aiolivekit._vendor.aiortc import rtcsctptransport as base
from aiolivekit._vendor.aiortc.rtcdatachannel import RTCDataChannel

__all__ = ["GuardedAssociation", "HostilePeerError", "packet_well_formed", "well_formed"]

MAX_STREAM_ID = 1023
"""The highest stream number of WebRTC's data channels in libwebrtc."""

MAX_CHANNELS = 64
MAX_LABEL = 256
"""Data channels of one peer, and bytes of their labels; LiveKit's clients have three."""

MAX_AHEAD = 4096
"""TSNs by which a chunk may be ahead of what has arrived without a gap."""

MAX_FRAGMENTS = 32 * 1024
"""Chunks that may wait for the rest of their messages."""

_FRAGMENTS_BETWEEN_COUNTS = 4096

MAX_REPORTED = 256
"""Gaps in one acknowledgement; as many as fit one packet."""

_header = Struct("!BBH")
_length = Struct("!HH")

# Where the parameters (or error causes) of a chunk begin in its body.
_PARAMETERS_AT = {1: 16, 2: 16, 4: 0, 5: 0, 6: 0, 9: 0, 130: 0}
_SACK = 3


class HostilePeerError(Exception):
    """The peer does what no honest one does; its association has to end."""


def well_formed(kind: int, body: bytes) -> bool:
    """Whether the lengths in the body of a chunk are such that reading it ends."""
    if kind == _SACK:
        return len(body) >= 12 and len(body) >= 12 + 4 * (
            int.from_bytes(body[8:10], "big") + int.from_bytes(body[10:12], "big")
        )
    position = _PARAMETERS_AT.get(kind)
    if position is None:
        return True
    size = len(body)
    if size < position:
        return False
    while position + 4 <= size:
        _, length = _length.unpack_from(body, position)
        if length < 4 or position + length > size:
            return False
        position += length + (-length & 3)
    return True


def packet_well_formed(data: bytes) -> bool:
    """Whether every chunk of a packet is `well_formed`."""
    position, size = 12, len(data)
    while position + 4 <= size:
        kind, _, length = _header.unpack_from(data, position)
        if length < 4 or position + length > size:
            return False
        if not well_formed(kind, data[position + 4 : position + length]):
            return False
        position += length + (-length & 3)
    return True


class GuardedAssociation(base.RTCSctpTransport):
    """aiortc's association behind these checks; those that drop return, those that end raise `HostilePeerError`."""

    _fragments_until_count = _FRAGMENTS_BETWEEN_COUNTS

    def _get_inbound_stream(self, stream_id: int) -> base.InboundStream:
        if stream_id > MAX_STREAM_ID:
            raise HostilePeerError("a stream number that is not negotiated")
        return super()._get_inbound_stream(stream_id)

    async def _receive_sack_chunk(self, chunk: base.SackChunk) -> None:
        outstanding = (self._local_tsn - 1 - chunk.cumulative_tsn) & 0xFFFFFFFF
        if outstanding >= 1 << 31:
            return  # it acknowledges what was never sent
        before = 0
        for first, last in chunk.gaps:
            if not before < first <= last <= outstanding:
                return
            before = last
        await super()._receive_sack_chunk(chunk)

    def _acceptable(self, tsn: int) -> bool:
        """Whether a chunk is kept; one that is not comes again."""
        last = self._last_received_tsn
        assert last is not None
        ahead = (tsn - last) & 0xFFFFFFFF
        return ahead <= 1 or ahead >= 1 << 31 or (ahead <= MAX_AHEAD and self._advertised_rwnd > 0)

    def _mark_received(self, tsn: int) -> bool:
        # aiortc sorts all that is ahead for each chunk.
        last, ahead = self._last_received_tsn, self._sack_misordered
        assert last is not None
        if (tsn - last - 1) & 0xFFFFFFFF >= (1 << 31) - 1 or tsn in ahead:
            return True
        ahead.add(tsn)
        while (following := (last + 1) & 0xFFFFFFFF) in ahead:
            ahead.discard(following)
            last = following
        self._last_received_tsn = last
        return False

    def _fragment_kept(self) -> None:
        """Take note that a chunk waits for the rest of its message."""
        self._fragments_until_count -= 1
        if self._fragments_until_count:
            return
        self._fragments_until_count = _FRAGMENTS_BETWEEN_COUNTS
        kept = sum(len(stream.reassembly) for stream in self._inbound_streams.values())
        if kept > MAX_FRAGMENTS:
            raise HostilePeerError("messages without an end")

    async def _receive_data_chunk(self, chunk: base.DataChunk) -> None:
        if not self._acceptable(chunk.tsn):
            self._sack_needed = True
            return
        self._fragment_kept()
        await super()._receive_data_chunk(chunk)

    async def _data_channel_receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        if pp_id == base.WEBRTC_DCEP and data[:1] == bytes((base.DATA_CHANNEL_OPEN,)):
            label = int.from_bytes(data[8:10], "big")
            if len(self._data_channels) >= MAX_CHANNELS or label > MAX_LABEL:
                raise HostilePeerError("too many data channels")
        await super()._data_channel_receive(stream_id, pp_id, data)

    def _data_channel_closed(self, stream_id: int) -> None:
        channel: RTCDataChannel | None = self._data_channels.get(stream_id)
        if channel is not None:
            super()._data_channel_closed(stream_id)

    async def _send_sack(self) -> None:
        # As much as fits one packet: what is not reported now is reported once the gaps before it are closed.
        last = self._last_received_tsn
        sack = base.SackChunk()
        sack.cumulative_tsn = last
        sack.advertised_rwnd = max(0, self._advertised_rwnd)
        if self._sack_misordered:
            assert last is not None
            gaps: list[list[int]] = []
            for position in sorted((tsn - last) & 0xFFFFFFFF for tsn in self._sack_misordered):
                if gaps and position == gaps[-1][1] + 1:
                    gaps[-1][1] = position
                elif len(gaps) < MAX_REPORTED:
                    gaps.append([position, position])
                else:
                    break
            sack.gaps = [(first, end) for first, end in gaps]
        await self._send_chunk(sack)
        self._sack_needed = False
