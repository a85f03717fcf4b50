"""One RTP stream that a client sends: what is missing, what to report, when to ask for a key frame."""

from __future__ import annotations

from aiolivekit.server.rtp import rtcp

__all__ = ["RtpReceiver"]

MAX_MISSING = 256
"""Missing packets asked for at a time; more than that is a gap, and a key frame is asked for instead."""

MAX_TRIES = 10
RETRY_INTERVAL = 0.05
GIVE_UP_AFTER = 1.0
"""How often, how long and how long after the first time a missing packet is asked for, in seconds."""

MAX_JUMP = 3000
"""Sequence numbers a stream may leap and still be the same stream."""

PLI_INTERVAL = 0.5
"""Seconds between key frame requests for one stream."""


class RtpReceiver:
    """State of one incoming SSRC.

    Args:
        ssrc: Its SSRC.
        clock_rate: In Hz.
        rid: Its simulcast layer, empty without simulcast.
        nack: Whether missing packets are asked for.
    """

    def __init__(self, ssrc: int, clock_rate: int, rid: str, *, nack: bool) -> None:
        self.ssrc = ssrc
        self.clock_rate = clock_rate
        self.rid = rid
        self.packets = 0
        self.octets = 0
        self.last_arrival = 0.0
        self.sr_ntp = 0
        self.sr_rtp = 0
        self._sr_arrival = 0.0
        self._nack = nack
        self._base = -1
        self._packets_before_base = 0
        self._highest = -1
        self._jitter = 0.0
        self._transit: int | None = None
        self._missing: dict[int, list[float]] = {}
        self._reported_expected = 0
        self._reported_received = 0
        self._pli_due = False
        self._pli_at = -PLI_INTERVAL
        self.key_frame_requests = 0
        self.nacked = 0
        self.recovered = 0

    def receive(self, sequence: int, timestamp: int, size: int, arrival: float) -> int | None:
        """Take a packet; returns its sequence number without wrap-around, or `None` for a repeated or ancient one."""
        self.last_arrival = arrival
        highest = self._highest
        if highest < 0:
            # Room below, so that packets from before the first do not go negative.
            extended = sequence + 0x10000
            self._base = self._highest = extended
        else:
            extended = highest + ((sequence - highest + 0x8000) & 0xFFFF) - 0x8000
            ahead = extended - highest
            if ahead == 1:
                self._highest = extended
            elif ahead > 1:
                self._highest = extended
                if ahead > MAX_JUMP:
                    self._restart(extended)
                elif self._nack:
                    self._gap(highest + 1, extended, arrival)
            elif self._nack and self._missing.pop(extended, None) is not None:
                self.recovered += 1
            elif ahead < -MAX_JUMP:
                return None
        self.packets += 1
        self.octets += size
        # RFC 3550 appendix A.8, in timestamp units.
        transit = int(arrival * self.clock_rate) - timestamp & 0xFFFFFFFF
        if self._transit is not None:
            difference = transit - self._transit & 0xFFFFFFFF
            if difference >= 1 << 31:
                difference = (1 << 32) - difference
            if difference < self.clock_rate * 10:
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit
        return extended

    def _restart(self, extended: int) -> None:
        self._base = extended
        self._packets_before_base = self.packets
        self._missing.clear()
        self._reported_expected = self._reported_received = 0
        self._pli_due = True

    def _gap(self, first: int, end: int, arrival: float) -> None:
        if end - first > MAX_MISSING:
            self._pli_due = True
            return
        for extended in range(first, end):
            self._missing[extended] = [arrival, -GIVE_UP_AFTER, 0]
        while len(self._missing) > MAX_MISSING:
            del self._missing[next(iter(self._missing))]
            self._pli_due = True

    @property
    def has_missing(self) -> bool:
        """Whether packets are missing that are still asked for."""
        return bool(self._missing)

    def due_nacks(self, now: float, round_trip: float) -> list[int]:
        """Return the sequence numbers to ask for now, in order."""
        if not self._missing:
            return []
        interval = max(RETRY_INTERVAL, round_trip)
        due = []
        for extended, entry in list(self._missing.items()):
            first_seen, last_asked, tries = entry
            if tries >= MAX_TRIES or now - first_seen > GIVE_UP_AFTER:
                del self._missing[extended]
                self._pli_due = True
            elif now - last_asked >= interval:
                entry[1] = now
                entry[2] = tries + 1
                due.append(extended)
        self.nacked += len(due)
        return [extended & 0xFFFF for extended in sorted(due)]

    def forget_missing(self) -> None:
        """Ask for nothing of what is missing so far."""
        self._missing.clear()
        self._pli_due = False

    def request_key_frame(self) -> None:
        """Ask for a key frame as soon as the interval between requests allows."""
        self._pli_due = True

    def due_pli(self, now: float) -> bool:
        """Whether to ask for a key frame now."""
        if not self._pli_due or now - self._pli_at < PLI_INTERVAL:
            return False
        self._pli_due = False
        self._pli_at = now
        self.key_frame_requests += 1
        return True

    @property
    def wants_key_frame(self) -> bool:
        """Whether a request waits for its turn."""
        return self._pli_due

    def sender_report(self, report: rtcp.SenderReport, arrival: float) -> None:
        """Take the stream's sender report."""
        self.sr_ntp, self.sr_rtp, self._sr_arrival = report.ntp, report.rtp, arrival

    @property
    def lost(self) -> int:
        """Packets lost for good so far, or not come again yet."""
        return max(0, self._expected - self._received)

    @property
    def _expected(self) -> int:
        return self._highest - self._base + 1 if self._highest >= 0 else 0

    @property
    def _received(self) -> int:
        return self.packets - self._packets_before_base

    def report(self, now: float) -> rtcp.Report:
        """Return the block for the next receiver report."""
        expected, received = self._expected, self._received
        since_expected = expected - self._reported_expected
        since_received = received - self._reported_received
        self._reported_expected, self._reported_received = expected, received
        lost = since_expected - since_received
        fraction = min(255, lost * 256 // since_expected) if since_expected > 0 and lost > 0 else 0
        return rtcp.Report(
            self.ssrc,
            fraction,
            expected - received,
            max(self._highest - 0x10000, 0),
            int(self._jitter),
            self.sr_ntp >> 16 & 0xFFFFFFFF,
            int((now - self._sr_arrival) * 65536) & 0xFFFFFFFF if self.sr_ntp else 0,
        )
