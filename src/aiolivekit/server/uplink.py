"""The media a participant sends: finds the track of each packet, and answers with feedback.

One timer serves all streams of a participant and runs only while packets come.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from struct import unpack_from

from aiolivekit.server.rtp import rtcp
from aiolivekit.server.rtp.packet import MID, RID, TRANSPORT_CC, parse, read_extensions
from aiolivekit.server.rtp.receiver import RtpReceiver
from aiolivekit.server.rtp.twcc import TwccRecorder
from aiolivekit.server.tracks import PublishedTrack
from aiolivekit.server.transport import PeerTransport

__all__ = ["Uplink"]

TICK = 0.025
FEEDBACK_INTERVAL = 0.05
REPORT_INTERVAL = 1.0
IDLE_AFTER = 3.0
"""Seconds between looks at what is due, between congestion feedback, between receiver reports, and until rest."""

ESTIMATE = 20_000_000
"""Bits per second told to senders that take no transport-wide feedback."""


class Uplink:
    """What one participant sends over one transport."""

    def __init__(self, transport: PeerTransport) -> None:
        self.transport = transport
        self.round_trip = 0.0
        self._ssrc = secrets.randbits(31) | 1
        self._streams: dict[int, tuple[PublishedTrack, RtpReceiver]] = {}
        self._tracks: dict[str, PublishedTrack] = {}
        self._announced: dict[int, PublishedTrack] = {}
        self._mid_id = self._rid_id = self._twcc_id = 0
        self._twcc = TwccRecorder()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._last_packet = 0.0
        self._next_feedback = 0.0
        self._next_report = 0.0
        self._closed = False

    def add_track(self, track: PublishedTrack, ssrcs: list[int]) -> None:
        """Take packets for a track; `ssrcs` are those its description announced."""
        self._tracks[track.mid] = track
        if not track.rids:
            for ssrc in ssrcs[:1]:
                self._announced[ssrc] = track

    def remove_track(self, track: PublishedTrack) -> None:
        """Take no more packets for a track."""
        if self._tracks.get(track.mid) is track:
            del self._tracks[track.mid]
        self._streams = {ssrc: entry for ssrc, entry in self._streams.items() if entry[0] is not track}
        self._announced = {ssrc: other for ssrc, other in self._announced.items() if other is not track}

    def set_extensions(self, extension_ids: dict[str, int]) -> None:
        """Learn the ids of the header extensions; they are the same in all sections."""
        self._mid_id = extension_ids.get(MID, self._mid_id)
        self._rid_id = extension_ids.get(RID, self._rid_id)
        self._twcc_id = extension_ids.get(TRANSPORT_CC, self._twcc_id)

    def receive(self, data: bytes, arrival: float) -> None:
        """Take an RTP packet."""
        header = parse(data)
        if header is None:
            self.transport.counters.drop("malformed RTP")
            return
        self._last_packet = arrival
        entry = self._streams.get(header.ssrc)
        extensions: dict[int, bytes] | None = None
        if (self._twcc_id or entry is None) and header.profile:
            extensions = read_extensions(data, header)
            value = extensions.get(self._twcc_id)
            if value is not None and len(value) >= 2:
                self._twcc.record(unpack_from("!H", value)[0], arrival)
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(TICK, self._tick)
        if entry is None:
            entry = self._identify(header.ssrc, header.payload_type, extensions or {})
            if entry is None:
                self.transport.counters.drop("RTP of no track")
                return
        track, receiver = entry
        extended = receiver.receive(header.sequence, header.timestamp, len(data), arrival)
        if extended is None:
            return
        if receiver.has_missing or receiver.wants_key_frame:
            self._ask(track, receiver, arrival)
        track.forward(receiver, extended, header, data, arrival)

    def _identify(
        self, ssrc: int, payload_type: int, extensions: dict[int, bytes]
    ) -> tuple[PublishedTrack, RtpReceiver] | None:
        rid = extensions.get(self._rid_id, b"").decode("ascii", "replace") if self._rid_id else ""
        track = self._announced.get(ssrc)
        if track is None and self._mid_id and (mid := extensions.get(self._mid_id)):
            track = self._tracks.get(mid.decode("ascii", "replace"))
        if track is None:
            # Not one whose SSRC is known: this may be a track that was ended from here and goes on being sent.
            known = set(map(id, self._announced.values()))
            takers = [t for t in self._tracks.values() if id(t) not in known and t.codec_of(payload_type) is not None]
            track = takers[0] if len(takers) == 1 else None
        receiver = track.add_receiver(ssrc, rid, payload_type) if track is not None else None
        if track is None or receiver is None:
            return None
        self._streams = {s: e for s, e in self._streams.items() if s in e[0].receivers}
        self._streams[ssrc] = (track, receiver)
        return self._streams[ssrc]

    def receive_rtcp(self, message: rtcp.Message, arrival: float) -> bool:
        """Take an RTCP message; returns whether it was about what this participant sends."""
        if not isinstance(message, rtcp.SenderReport):
            return False
        entry = self._streams.get(message.ssrc)
        if entry is None:
            return False
        track, receiver = entry
        receiver.sender_report(message, arrival)
        for down in track.down:
            if down.sender.current is receiver:
                down.transport.send_rtcp(down.sender.sender_report(message.ntp, message.rtp))
        return True

    def kick(self) -> None:
        """Do soon what is due; for key frames asked for while no packets come."""
        if self._timer is None and not self._closed:
            self._last_packet = time.monotonic()
            self._timer = self._loop.call_later(0, self._tick)

    def _ask(self, track: PublishedTrack, receiver: RtpReceiver, now: float) -> None:
        if track.muted or not any(receiver in (down.sender.current, down.sender.target) for down in track.down):
            # Nobody is waiting for it.
            receiver.forget_missing()
            return
        if sequences := receiver.due_nacks(now, self.round_trip):
            self.transport.send_rtcp(rtcp.make_nack(self._ssrc, receiver.ssrc, sequences))
        if receiver.due_pli(now):
            self.transport.send_rtcp(rtcp.make_pli(self._ssrc, receiver.ssrc))

    def _tick(self) -> None:
        self._timer = None
        now = time.monotonic()
        if self._closed:
            return
        pending = False
        for track, receiver in list(self._streams.values()):
            if receiver.has_missing or receiver.wants_key_frame:
                self._ask(track, receiver, now)
                pending = pending or receiver.wants_key_frame
        if now >= self._next_feedback:
            self._next_feedback = now + FEEDBACK_INTERVAL
            media = next(iter(self._streams), 0)
            feedback = self._twcc.feedback(self._ssrc, media)
            if feedback is not None:
                self.transport.send_rtcp(feedback)
        if now >= self._next_report and self._streams:
            self._next_report = now + REPORT_INTERVAL
            self._report(now)
        if pending or now - self._last_packet < IDLE_AFTER:
            self._timer = self._loop.call_later(TICK, self._tick)

    def _report(self, now: float) -> None:
        reports = [receiver.report(now) for _, receiver in self._streams.values()]
        for start in range(0, len(reports), 31):
            packet = rtcp.make_receiver_report(self._ssrc, reports[start : start + 31])
            if not self._twcc_id and start == 0:
                packet += rtcp.make_remb(self._ssrc, ESTIMATE, list(self._streams)[:8])
            self.transport.send_rtcp(packet)

    def close(self) -> None:
        """Stop the timer."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._streams.clear()
        self._tracks.clear()
