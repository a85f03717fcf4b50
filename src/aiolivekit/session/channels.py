"""The data channels of a session: the one place that writes to them.

LiveKit uses three channels of the publisher (`_reliable`, `_lossy`, `_data_track`). With two peer connections the
server sends on channels of its own, which it makes on the subscriber; with one, both directions share ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from livekit.protocol import models, rtc

from ..core.absences import SentLedger
from ..core.reliable import ReceiveState, SendSequence
from ..e2ee.packet_cryptor import PacketCryptor
from ..enums import DataPacketKind
from ..options import Outage
from ..peer.channel import ChannelState, DataChannel
from ..peer.connection import PeerConnection
from .events import DataChannelBufferStatusChanged, DataTrackReady, SessionEvent
from .incoming_packets import IncomingPackets
from .lane import MAX_PACKET_SIZE, Lane
from .packets import DATA_TRACK_LABEL, LOSSY_LABEL, RELIABLE_LABEL

__all__ = ["INITIAL_BUFFERED_AMOUNT_LOW_THRESHOLD", "SessionChannels"]


INITIAL_BUFFERED_AMOUNT_LOW_THRESHOLD = 2 * 1024 * 1024
"""Bytes of a channel's buffer at or below which waiting packets go on (the seed's constant of this name)."""
LOSSY_LOW_THRESHOLD = 64 * 1024
LOSSY_HIGH = 128 * 1024
LOSSY_PATIENCE = 0.5
"""What libwebrtc holds of a dead path it would deliver when the path is back, seconds late. So it is given little of
what is lossy, and what finds no room within half a second is dropped."""
DATA_TRACK_LOW_THRESHOLD = 8 * 1024
_CLOSED_TOGETHER = 0.004
"""Seconds within which all channels of an association that ended have closed; libwebrtc closes them one by one."""
_RELIABLE = DataPacketKind.KIND_RELIABLE
_LOSSY = DataPacketKind.KIND_LOSSY
_PROBE = models.DataPacket(
    user=models.UserPacket(topic="lk.aio.probe"), destination_identities=["lk.aio.nobody"]
).SerializeToString()
_monotonic = time.monotonic


class SessionChannels:
    """The data channels of one session.

    Args:
        high: Bytes buffered in libwebrtc above which `publish` waits.
        emit: Takes the events of received packets.
        on_lost: Told that a channel of ours closed though the session did not close it.
        sequence: The numbers of our reliable packets; they outlive the session.
        received: What was received from whom; it outlives the session.
        outage: What happens to packets that wait while there is no connection.
        ledger: Where it is written down what was sent to whom; it outlives the session.
        cryptor: Encrypts and decrypts packets; `None` in a room that is not encrypted.
    """

    def __init__(
        self,
        high: int,
        emit: Callable[[SessionEvent], None],
        on_lost: Callable[[str], None],
        sequence: SendSequence,
        received: ReceiveState,
        outage: Outage | None = None,
        ledger: SentLedger | None = None,
        cryptor: PacketCryptor | None = None,
    ) -> None:
        self._high = high
        self._ledger = ledger
        self._outage = outage or Outage()
        self._cryptor = cryptor
        self._emit = emit
        self._on_lost = on_lost
        self._sequence = sequence
        self.incoming = IncomingPackets(emit, received, cryptor)
        self._lanes: dict[DataPacketKind, Lane] = {}
        self._data_track: DataChannel | None = None
        self._remote: list[DataChannel] = []
        self._closed: Exception | None = None
        self._flushed: asyncio.Future[None] | None = None
        self._confirmed = False
        self._path_down = False
        self._paused = False
        self._holds: set[str] = set()
        self._graces: dict[str, float] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self._stale: asyncio.TimerHandle | None = None
        self.lossy_dropped = 0
        self.data_track_dropped = 0

    # -- making and ending --

    def create(self, publisher: PeerConnection) -> None:
        """Make our three channels on the publisher."""
        reliable = publisher.create_channel(
            RELIABLE_LABEL, ordered=True, max_retransmits=None, low_threshold=INITIAL_BUFFERED_AMOUNT_LOW_THRESHOLD
        )
        lossy = publisher.create_channel(
            LOSSY_LABEL, ordered=False, max_retransmits=0, low_threshold=LOSSY_LOW_THRESHOLD
        )
        self._lanes = {
            _RELIABLE: Lane(
                reliable,
                self._high,
                self._sequence,
                partial(self._buffer_status, _RELIABLE),
                self._ledger,
                self._cryptor,
            ),
            _LOSSY: Lane(lossy, LOSSY_HIGH, None, partial(self._buffer_status, _LOSSY), cryptor=self._cryptor),
        }
        self._data_track = publisher.create_channel(
            DATA_TRACK_LABEL, ordered=False, max_retransmits=0, low_threshold=DATA_TRACK_LOW_THRESHOLD
        )

    def forget(self) -> None:
        """Let go of channels whose publisher is not used after all."""
        for lane in self._lanes.values():
            lane.channel.detach()
        if self._data_track is not None:
            self._data_track.detach()

    def add_remote(self, channel: DataChannel) -> None:
        """Keep a channel the server made."""
        self._remote.append(channel)

    def set_max_message_size(self, size: int | None) -> None:
        """Take over what the server's description says, if anything; 0 stands for no limit."""
        limit = min(size or MAX_PACKET_SIZE, MAX_PACKET_SIZE)
        for lane in self._lanes.values():
            lane.max_size = limit

    async def flush(self, patience: float, limit: float) -> bool:
        """Let reliable packets reach the server, those that wait included, and close their channel.

        The channel is closed as SCTP does it (RFC 8831, section 6.7): the stream is reset behind what was sent, so
        when the reset has come back, everything has arrived.

        Args:
            patience: Seconds without any progress after which it is given up.
            limit: Seconds it may take altogether.

        Returns:
            Whether everything has arrived.
        """
        lane = self._lanes.get(_RELIABLE)
        if lane is None or (self._sequence.last == 0 and not len(lane.outbox)):
            return True
        if self._flushed is not None or not lane.usable:
            return self._confirmed
        self._flushed = asyncio.get_running_loop().create_future()
        lane.drain()
        if not len(lane.outbox):
            lane.channel.close()
        return await self._reset(lane, self._flushed, patience, limit)

    async def confirm(self, patience: float, limit: float) -> bool:
        """As `flush` for what was handed over; what waits goes on waiting, to be adopted by another session."""
        self.pause()
        lane = self._lanes.get(_RELIABLE)
        if lane is None or self._sequence.last == 0:
            return True
        if self._flushed is not None or not lane.channel.is_open:
            return self._confirmed
        self._flushed = asyncio.get_running_loop().create_future()
        lane.channel.close()
        return await self._reset(lane, self._flushed, patience, limit)

    async def _reset(self, lane: Lane, closed: asyncio.Future[None], patience: float, limit: float) -> bool:
        end = _monotonic() + limit
        left = (len(lane.outbox), lane.channel.buffered_amount)
        while not closed.done():
            await asyncio.wait([closed], timeout=min(patience, max(0.0, end - _monotonic())))
            before, left = left, (len(lane.outbox), lane.channel.buffered_amount)
            if left >= before or _monotonic() >= end:
                break
        if closed.done():
            # When it is the association that ended, the other channels close right behind, and nothing is sure.
            await asyncio.sleep(_CLOSED_TOGETHER)
            self._confirmed = self._lanes[_LOSSY].channel.is_open
        return self._confirmed

    def close(self, error: Exception) -> None:
        """Let go of the channels; packets that wait fail with `error`."""
        self._closed = error
        for timer in (self._expiry, self._stale):
            if timer is not None:
                timer.cancel()
        self._expiry = self._stale = None
        for lane in self._lanes.values():
            lane.fail(error)
            lane.channel.detach()
        for channel in [self._data_track, *self._remote]:
            if channel is not None:
                channel.detach()

    # -- losses --

    def set_path(self, *, up: bool) -> None:
        """Say whether the media path stands; while it does not, lossy packets are dropped and counted."""
        self._path_down = not up
        lane = self._lanes.get(_LOSSY)
        if lane is not None and not self._paused:
            lane.usable = up and lane.channel.is_open
        if up and self.data_tracks_ready():
            self._emit(DataTrackReady())
        if up:
            self.release("path")
        else:
            # If the session does not outlive this, what waits can go over the next one; what libwebrtc holds cannot.
            self.hold("path")

    def held(self, why: str) -> bool:
        """Whether reliable packets are kept back for that reason."""
        return why in self._holds

    def hold(self, why: str, *, after_open: float | None = None) -> None:
        """Keep reliable packets back, in order and with the deadline of an outage, until `release` for that reason.

        Args:
            why: The reason.
            after_open: Seconds after the opening of the channel when it is none any more.
        """
        self._holds.add(why)
        if after_open is not None:
            self._graces[why] = after_open
        lane = self._lanes.get(_RELIABLE)
        if lane is not None:
            lane.usable = False
        if self._expiry is None and self._closed is None:
            # What waits already, for room in a buffer that may not empty now, waits with a deadline from here on.
            self._arm_expiry(_monotonic() + self._outage.deadline)

    def release(self, why: str) -> None:
        """Let them go on, unless there is another reason to keep them back."""
        self._holds.discard(why)
        lane = self._lanes.get(_RELIABLE)
        if lane is not None and not lane.usable and self._goes_on(lane):
            lane.usable = True
            lane.drain()

    def _goes_on(self, lane: Lane) -> bool:
        if self._paused or self._closed is not None or (self._holds and lane is self._lanes[_RELIABLE]):
            return False
        return lane.channel.is_open

    def probe(self) -> None:
        """Send something that a server acknowledges at once, and that nobody gets: two lossy packets to nobody."""
        lane = self._lanes.get(_LOSSY)
        if lane is not None and lane.usable and not lane.channel.buffered_amount:
            for _ in range(2):
                with suppress(Exception):
                    lane.channel.send(_PROBE)

    def replay(self, last: int) -> tuple[int, int]:
        """Send again what came after number `last`, the last one the server has of us.

        Returns:
            How many were sent again, and how many would have to be but are not kept any more.
        """
        lane = self._lanes.get(_RELIABLE)
        if lane is None or not lane.channel.is_open:
            return 0, 0
        return lane.replay(last)

    def unconfirmed(self, moment: float) -> int:
        """Return how many reliable packets may not have arrived: none if `flush` or `confirm` made sure of it.

        Args:
            moment: What was handed over before then has arrived for certain (`time.monotonic`).
        """
        lane = self._lanes.get(_RELIABLE)
        # Durable messages are answered for one by one, by those who sent and who receive them.
        return 0 if lane is None or self._confirmed else lane.retained.count_since(moment)

    def pause(self) -> None:
        """Hand nothing over any more; packets wait to be adopted by another session."""
        self._paused = True
        for lane in self._lanes.values():
            lane.usable = False

    def adopt(self, predecessor: SessionChannels) -> int:
        """Take the packets that wait for the channels of another session, ahead of our own; return how many wait."""
        waiting = 0
        for kind, old in predecessor._lanes.items():
            lane = self._lanes[kind]
            waiting += lane.inherit(old)
            if lane.usable:
                lane.drain()
            elif (oldest := lane.oldest) is not None and self._expiry is None:
                self._arm_expiry(oldest + self._outage.deadline)
        return waiting

    def _arm_stale(self, since: float) -> None:
        pause = max(0.0, since + LOSSY_PATIENCE - _monotonic())
        self._stale = asyncio.get_running_loop().call_later(pause, self._drop_stale)

    def _drop_stale(self) -> None:
        """Drop lossy packets that have found no room for too long."""
        self._stale = None
        lane = self._lanes[_LOSSY]
        if not lane.usable:
            return
        dropped, oldest = lane.drop_before(_monotonic() - LOSSY_PATIENCE)
        self.lossy_dropped += dropped
        if oldest is not None:
            self._arm_stale(oldest)

    def _arm_expiry(self, moment: float) -> None:
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(max(0.0, moment - _monotonic()), self._expire)

    def _expire(self) -> None:
        """Fail packets that have waited too long for a connection; those that wait for room alone go on waiting."""
        self._expiry = None
        stuck = [lane for lane in self._lanes.values() if self._path_down or not lane.usable]
        again = [moment for lane in stuck if (moment := lane.expire(self._outage.deadline)) is not None]
        if again:
            self._arm_expiry(min(again))

    def describe(self) -> list[rtc.DataChannelInfo]:
        """Return the channels there are (`SyncState.data_channels`)."""
        ours = [lane.channel for lane in self._lanes.values()]
        if self._data_track is not None:
            ours.append(self._data_track)
        both = [(channel, rtc.SignalTarget.PUBLISHER) for channel in ours]
        both += [(channel, rtc.SignalTarget.SUBSCRIBER) for channel in self._remote]
        return [
            rtc.DataChannelInfo(label=channel.label, id=stream, target=target)
            for channel, target in both
            if (stream := channel.stream_id) is not None
        ]

    # -- out --

    def try_publish(self, packet: models.DataPacket, kind: DataPacketKind, *, bulk: bool = False) -> bool:
        """Hand a packet over now, or return false when it must wait (`publish`).

        Raises:
            PacketTooLargeError: If it is larger than the server takes.
        """
        lane = self._lanes[kind]
        if lane.usable and lane.outbox.goes_at_once(buffered := lane.channel.buffered_amount, bulk=bulk):
            lane.hand_over(packet, buffered, bulk=bulk)
            if lane.outbox.bulk_is_due:
                lane.drain()
            return True
        if kind is _LOSSY and self._path_down:
            # By the time the path is back it would be old news.
            self.lossy_dropped += 1
            return True
        return False

    async def publish(self, packet: models.DataPacket, kind: DataPacketKind, *, bulk: bool = False) -> None:
        """Hand a packet over when its turn has come.

        Its place in the order is that of this call, within its class: `bulk` packets yield to all others. Cancelling
        withdraws it unless it has been handed over.

        Raises:
            PacketTooLargeError: If it is larger than the server takes.
            OutboxFullError: If too many wait for the connection to come back.
            DataTimeoutError: If it does not come back in time.
            ClosedError: If the session ends first.
        """
        if self._closed is not None:
            raise self._closed
        lane = self._lanes[kind]
        if lane.failed is not None:
            raise lane.failed
        entry = lane.wait(packet, self._outage.max_packets, bulk=bulk)
        if lane.usable:
            lane.drain()
            if kind is _LOSSY and self._stale is None and not entry.handed_over.done():
                self._arm_stale(entry.since)
        elif self._expiry is None:
            self._arm_expiry(entry.since + self._outage.deadline)
        try:
            await entry.handed_over
        except asyncio.CancelledError:
            lane.outbox.withdraw(entry)
            raise

    @property
    def usable(self) -> bool:
        """Whether our channels are open."""
        return all(lane.usable for lane in self._lanes.values())

    def threshold(self, kind: DataPacketKind) -> int:
        """Return the low threshold of a channel, in bytes."""
        return self._lanes[kind].threshold

    def set_threshold(self, kind: DataPacketKind, value: int) -> None:
        """Set the low threshold of a channel, in bytes; packets wait above it, or above the high mark if higher."""
        lane = self._lanes[kind]
        lane.outbox.high = max(LOSSY_HIGH if kind is _LOSSY else self._high, value)
        lane.threshold = value

    def _buffer_status(self, kind: DataPacketKind, is_low: bool) -> None:
        self._emit(DataChannelBufferStatusChanged(is_low, kind))

    def buffered_amount(self, kind: DataPacketKind) -> int:
        """Return the bytes libwebrtc holds for a channel."""
        return self._lanes[kind].channel.buffered_amount

    def data_tracks_ready(self) -> bool:
        """Whether the channel of data tracks takes a packet now; `DataTrackReady` tells when it does again."""
        channel = self._data_track
        return (
            channel is not None
            and not self._path_down
            and not self._paused
            and self._closed is None
            and channel.is_open
            and channel.buffered_amount <= DATA_TRACK_LOW_THRESHOLD
        )

    def send_data_track_packet(self, packet: bytes) -> None:
        """Hand a packet of a data track to libwebrtc, once it takes one."""
        assert self._data_track is not None
        try:
            self._data_track.send(packet)
        except Exception:  # noqa: BLE001 - the channel, or a server that takes less than a packet has
            self.data_track_dropped += 1

    # -- what channels report (ChannelSink) --

    def on_channel_message(self, channel: DataChannel, data: bytes) -> None:
        """Take a packet in."""
        self.incoming.take(channel.label, data)

    def on_channel_state(self, channel: DataChannel, state: ChannelState) -> None:
        """Start or fail what waits for a channel of ours."""
        if channel is self._data_track and self.data_tracks_ready():
            self._emit(DataTrackReady())
        lane = next((lane for lane in self._lanes.values() if lane.channel is channel), None)
        if lane is None:
            return
        if state == "open":
            if lane is self._lanes[_RELIABLE]:
                for why, grace in self._graces.items():
                    asyncio.get_running_loop().call_later(grace, self.release, why)
            lane.usable = self._goes_on(lane)
            if lane.usable:
                lane.drain()
        elif self._flushed is not None:
            if state == "closed" and lane.channel.label == RELIABLE_LABEL and not self._flushed.done():
                self._flushed.set_result(None)
        elif self._closed is None:
            was_usable, lane.usable = lane.usable or (bool(self._holds) and not self._paused), False
            # What waits goes on waiting: the session will be taken up again, or replaced, or closed.
            if was_usable:
                self._on_lost(channel.label)

    def on_channel_low(self, channel: DataChannel) -> None:
        """Go on with what waits for room."""
        if channel is self._data_track and self.data_tracks_ready():
            self._emit(DataTrackReady())
            return
        for lane in self._lanes.values():
            if lane.channel is channel:
                lane.on_low()
                if lane.usable and self._flushed is not None and not len(lane.outbox):
                    lane.channel.close()
