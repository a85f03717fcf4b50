"""One RTP stream that a subscriber receives: made from one incoming stream after another.

A subscriber sees one SSRC with one unbroken sequence and one clock, whichever simulcast layer it is made from. A
change of layer happens at a key frame only.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiolivekit.server.rtp import rtcp
from aiolivekit.server.rtp.codecs import is_key_frame, primary_of_red, read_vp8, renumber_red, write_vp8
from aiolivekit.server.rtp.packet import Header, make_extensions, make_packet, make_padding, read_extensions
from aiolivekit.server.rtp.receiver import RtpReceiver

__all__ = ["Mapping", "RtpSender"]

CACHE_SIZE = 1024
"""Packets kept for retransmission (a power of two)."""

RESEND_INTERVAL = 0.02
"""Seconds within which a repeated request for the same packet is not answered again."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """How one payload type of the publisher is sent to the subscriber.

    Args:
        payload_type: The subscriber's number.
        mime: The codec in lower case.
        red: For RED: the subscriber's number for the codec inside; 0 where the subscriber takes no RED and gets
            the newest frame alone (`payload_type` is then the number of the codec inside).
    """

    payload_type: int
    mime: str
    red: int | None = None


class RtpSender:
    """State of one outgoing SSRC.

    Args:
        ssrc: Its SSRC.
        clock_rate: In Hz.
        video: Whether streams change at key frames only.
        mappings: By the publisher's payload types.
        extension_ids: Ids of header extensions that are passed on: the subscriber's by the publisher's.
    """

    def __init__(
        self, ssrc: int, clock_rate: int, *, video: bool, mappings: dict[int, Mapping], extension_ids: dict[int, int]
    ) -> None:
        self.ssrc = ssrc
        self.clock_rate = clock_rate
        self.current: RtpReceiver | None = None
        self.target: RtpReceiver | None = None
        self._source: RtpReceiver | None = None
        self.packets = 0
        self.octets = 0
        self.resent = 0
        self.switches = 0
        self._video = video
        self._mappings = mappings
        self._extension_ids = extension_ids
        self._first_extended = 0
        self._sequence_offset = 0
        self._timestamp_offset = 0
        self._last_sequence = -1
        self._last_timestamp = 0
        self._last_arrival = 0.0
        self._picture_offset = 0
        self._tl0_offset = 0
        self._last_vp8 = b""
        self._cache: list[tuple[int, bytes] | None] = [None] * CACHE_SIZE
        self._resent_at: dict[int, float] = {}

    def renegotiate(self, mappings: dict[int, Mapping], extension_ids: dict[int, int]) -> None:
        """Take what was agreed on with the subscriber (again)."""
        self._mappings = mappings
        self._extension_ids = extension_ids

    def choose(self, receiver: RtpReceiver | None) -> bool:
        """Make the stream from this receiver from its next key frame on; returns whether a key frame is needed.

        `None` pauses the stream.
        """
        if receiver is None:
            self.current = self.target = None
            return False
        self.target = receiver
        return self.current is not receiver and self._video

    def write(self, receiver: RtpReceiver, extended: int, header: Header, data: bytes, arrival: float) -> bytes | None:
        """Return the packet to send for one that came in; `None` when this one is not for the subscriber."""
        if receiver is not self.current:
            if receiver is not self.target:
                return None
            mapping = self._mappings.get(header.payload_type)
            payload = data[header.payload_start : header.payload_end]
            if mapping is None or (self._video and not is_key_frame(mapping.mime, payload)):
                return None
            self._switch(receiver, extended, header, payload, arrival, mapping)
        elif extended < self._first_extended:
            return None
        else:
            mapping = self._mappings.get(header.payload_type)
        sequence = (extended + self._sequence_offset) & 0xFFFF
        timestamp = (header.timestamp + self._timestamp_offset) & 0xFFFFFFFF
        if mapping is None:
            return None
        start, end = header.payload_start, header.payload_end
        if start == end:
            # Padding of the publisher's bandwidth probes: as little as keeps the sequence whole.
            packet = make_padding(mapping.payload_type, sequence, timestamp, self.ssrc)
        else:
            payload = self._payload(mapping, data[start:end])
            extensions = self._extensions(data, header) if self._extension_ids and header.profile else b""
            packet = make_packet(
                header.marker, mapping.payload_type, sequence, timestamp, self.ssrc, extensions, payload
            )
        if self._last_sequence < 0 or (sequence - self._last_sequence) & 0xFFFF < 0x8000:
            self._last_sequence = sequence
            self._last_timestamp = timestamp
            self._last_arrival = arrival
        self.packets += 1
        self.octets += end - start
        return packet

    def _payload(self, mapping: Mapping, payload: bytes) -> bytes:
        if mapping.red is not None:
            changed = primary_of_red(payload) if mapping.red == 0 else renumber_red(payload, mapping.red)
            return payload if changed is None else changed
        if mapping.mime == "vp8":
            # What stands in the descriptor is read only where it matters: after a switch, and at the next one.
            self._last_vp8 = payload
            if self._picture_offset or self._tl0_offset:
                descriptor = read_vp8(payload)
                if descriptor is not None and descriptor.picture_id is not None:
                    picture = descriptor.picture_id + self._picture_offset
                    return write_vp8(payload, descriptor, picture, (descriptor.tl0 or 0) + self._tl0_offset)
        return payload

    def _extensions(self, data: bytes, header: Header) -> bytes:
        ids = self._extension_ids
        return make_extensions(
            [(ids[number], value) for number, value in read_extensions(data, header).items() if number in ids]
        )

    def _switch(
        self,
        receiver: RtpReceiver,
        extended: int,
        header: Header,
        payload: bytes,
        arrival: float,
        mapping: Mapping,
    ) -> None:
        if self._last_sequence >= 0:
            self._sequence_offset = (self._last_sequence + 1 - extended) & 0xFFFF
            self._timestamp_offset = self._next_timestamp(receiver, header.timestamp, arrival) - header.timestamp
            if mapping.mime == "vp8":
                self._continue_counters(payload)
        self._first_extended = extended
        self.current = self._source = receiver
        self.switches += 1

    def _continue_counters(self, payload: bytes) -> None:
        """Let VP8's counters go on from the last packet's, in a stream that begins with this payload."""
        before, after = read_vp8(self._last_vp8), read_vp8(payload)
        if before is None or before.picture_id is None or after is None or after.picture_id is None:
            return
        self._picture_offset += before.picture_id + 1 - after.picture_id
        self._tl0_offset += (before.tl0 or 0) + 1 - (after.tl0 or 0)

    def _next_timestamp(self, receiver: RtpReceiver, timestamp: int, arrival: float) -> int:
        elapsed = max(1, int((arrival - self._last_arrival) * self.clock_rate))
        estimate = self._last_timestamp + elapsed
        before = self._source
        if before is receiver:
            exact = (timestamp + self._timestamp_offset) & 0xFFFFFFFF
        elif before is not None and before.sr_ntp and receiver.sr_ntp:
            # Both streams carry the publisher's wall clock: the same instant in the old stream's clock.
            between = ((receiver.sr_ntp - before.sr_ntp) * self.clock_rate) >> 32
            exact = (timestamp - receiver.sr_rtp + before.sr_rtp + between + self._timestamp_offset) & 0xFFFFFFFF
        else:
            return estimate
        ahead = ((exact - self._last_timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        # Plausible means later than the last picture, and about as much later as it arrived.
        return exact if 0 < ahead < elapsed + self.clock_rate else estimate

    def remember(self, packet: bytes, protected: bytes) -> None:
        """Keep a packet for retransmission, as it went over the wire."""
        sequence = packet[2] << 8 | packet[3]
        self._cache[sequence & (CACHE_SIZE - 1)] = (sequence, protected)

    def lookup(self, sequences: tuple[int, ...], now: float) -> list[bytes]:
        """Return the packets that a receiver says are missing and we still have."""
        found = []
        for sequence in sequences:
            entry = self._cache[sequence & (CACHE_SIZE - 1)]
            if entry is None or entry[0] != sequence:
                continue
            if now - self._resent_at.get(sequence, 0.0) < RESEND_INTERVAL:
                continue
            self._resent_at[sequence] = now
            found.append(entry[1])
        if len(self._resent_at) > CACHE_SIZE:
            self._resent_at = {s: at for s, at in self._resent_at.items() if now - at < RESEND_INTERVAL}
        self.resent += len(found)
        return found

    def sender_report(self, ntp: int, rtp: int) -> bytes:
        """Return the report for a moment of the stream it is made from, in this stream's terms."""
        return rtcp.make_sender_report(
            self.ssrc, ntp, (rtp + self._timestamp_offset) & 0xFFFFFFFF, self.packets, self.octets
        )
