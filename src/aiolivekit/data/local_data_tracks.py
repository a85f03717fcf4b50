"""The data tracks we publish: the driver of `core.data_track_queue`."""

# ruff: noqa: SLF001 - the tracks and their keeper belong together

from __future__ import annotations

import asyncio
import logging
import random
import time
from enum import Enum, auto

from livekit.protocol import models, rtc

from ..core.data_track_packet import CLOCK_RATE, MAX_FRAME_PACKETS, FrameEncryption, largest_payload
from ..core.data_track_queue import FrameQueue, OutgoingFrame
from ..core.request_window import RequestWindow
from ..errors import ClosedError, EncryptionError, PublishDataTrackError, PushFrameError
from .data_track import (
    DataTrackFrame,
    DataTrackFrameEncoding,
    DataTrackInfo,
    DataTrackSchemaId,
    info_of,
    set_schema,
)
from .port import DataTrackPort, FrameCipher

__all__ = ["LocalDataTrack", "LocalDataTracks"]

_logger = logging.getLogger("aiolivekit.data")

PUBLISH_TIMEOUT = 10.0
"""Seconds the server may take to answer; the reference's."""
_AT_ONCE = 8
"""Requests without an answer. Each one makes livekit-server tell everybody of all our tracks; when more than 200
messages wait to be written to one of them, it drops some, or closes that connection."""
_TURN = 1.0
"""Seconds after which an unpublish without an answer lets the next one go."""
_MAX_HANDLE = 0xFFFF
_MAX_TIMESTAMP = 2**64
_monotonic = time.monotonic
_REASONS: dict[int, str] = {
    rtc.RequestResponse.NOT_ALLOWED: "we are not allowed to publish data",
    rtc.RequestResponse.INVALID_NAME: "a name is not empty, and has 256 bytes at most",
    rtc.RequestResponse.DUPLICATE_NAME: "we publish a data track of that name already",
    rtc.RequestResponse.INVALID_REQUEST: "the server does not take its schema or its encoding",
}


class _State(Enum):
    PENDING = auto()
    PUBLISHED = auto()
    REPUBLISHING = auto()
    """Known to the session that a restart replaced, and being made known to the next."""
    UNPUBLISHED = auto()


class LocalDataTrack:
    """A data track we publish; `LocalParticipant.publish_data_track` makes it.

    It stays published until `unpublish`, or until the room is disconnected, whether it is referred to or not.
    """

    def __init__(self, owner: LocalDataTracks, handle: int, request: rtc.PublishDataTrackRequest) -> None:
        self._owner = owner
        self._handle = handle
        self._request = request
        self._told = models.DataTrackInfo()
        self._info = DataTrackInfo("", request.name, False)
        self._state = _State.PENDING
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._giving_up: asyncio.TimerHandle | None = None
        self._asked_twice = False

    @property
    def info(self) -> DataTrackInfo:
        """What the server says of it; after a restart it has another sid."""
        return self._info

    def try_push(self, frame: DataTrackFrame) -> None:
        """Send a frame to those who are subscribed.

        Never waits. Frames are sent unreliably: one that is lost is not sent again, and while one waits for room in
        the channel, or for the connection to come back, the next one takes its place. So what is received late or
        not at all is always the older frame.

        Args:
            frame: The frame. Its payload has at most 128 times 15,988 bytes, 12 bytes less for each with a
                timestamp, and 20 less if it is encrypted.

        Raises:
            PushFrameError: If the track is published no more, the frame is too large, or there is no key to encrypt
                it by.
            TypeError: If the payload is not bytes, or the timestamp no number.
            ValueError: If the timestamp does not fit into 64 bits without a sign.
        """
        payload, timestamp = frame.payload, frame.user_timestamp
        if type(payload) is not bytes:
            if not isinstance(payload, bytes | bytearray | memoryview):
                raise TypeError(f"a payload is bytes, not {type(payload).__name__}")
            payload = bytes(payload)
        if timestamp is not None:
            if not isinstance(timestamp, int):
                raise TypeError(f"a timestamp is a whole number, not {type(timestamp).__name__}")
            if not 0 <= timestamp < _MAX_TIMESTAMP:
                raise ValueError("a timestamp has 64 bits and no sign")
        if self._state is _State.UNPUBLISHED:
            raise PushFrameError("the track is not published any more")
        encryption = None
        if self._request.encryption:
            encryption, payload = self._owner._seal(payload)
        limit = MAX_FRAME_PACKETS * largest_payload(timestamp, encryption)
        if len(payload) > 1_000_000 and len(payload) > limit:
            words = "" if encryption is None else " encrypted"
            raise PushFrameError(f"a frame has at most {limit} bytes{words}, not {len(payload)}")
        self._owner._push(self._handle, payload, timestamp, encryption)

    def is_published(self) -> bool:
        """Whether it is still published; while the connection is being restored, too."""
        return self._state is not _State.UNPUBLISHED

    async def unpublish(self) -> None:
        """Publish it no more. Twice is once."""
        self._owner._unpublish(self)

    def _stop_waiting(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _fail(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)
            # Who waits may have been cancelled in the same step; then nobody looks at it.
            self._answer.exception()

    def __repr__(self) -> str:
        return f"LocalDataTrack(sid={self._info.sid!r}, name={self._info.name!r})"


class LocalDataTracks:
    """The data tracks of the local participant in one visit to a room.

    Args:
        port: Sends what there is to send.
        cipher: Encrypts frames; `None` if nothing is encrypted.
    """

    def __init__(self, port: DataTrackPort, cipher: FrameCipher | None = None) -> None:
        self._port = port
        self._cipher = cipher
        self._tracks: dict[int, LocalDataTrack] = {}
        self._unpublishing: set[int] = set()
        self._asking: RequestWindow[int] = RequestWindow(_AT_ONCE)
        self._ending: RequestWindow[int] = RequestWindow(_AT_ONCE)
        self._turns: dict[int, asyncio.TimerHandle] = {}
        self._queue = FrameQueue()
        self._last_handle = 0
        self._suspect: set[int] = set()
        self._away = False
        self._closed = False
        self._clock_base = random.getrandbits(32)

    # -- publishing ---------------------------------------------------------------------------------

    async def publish(
        self, name: str, frame_encoding: DataTrackFrameEncoding | str | None, schema: DataTrackSchemaId | None
    ) -> LocalDataTrack:
        """See `LocalParticipant.publish_data_track`."""
        if self._closed:
            raise ClosedError("the room is disconnected")
        described = models.DataTrackInfo(name=name)
        set_schema(described, frame_encoding, schema)
        handle = self._new_handle()
        encryption = 0 if self._cipher is None else self._cipher.frame_encryption_type
        request = rtc.PublishDataTrackRequest(
            pub_handle=handle,
            name=name,
            encryption=encryption,  # type: ignore[arg-type]
        )
        if described.HasField("frame_encoding"):
            request.frame_encoding.CopyFrom(described.frame_encoding)
        if described.HasField("schema"):
            request.schema.CopyFrom(described.schema)
        track = self._tracks[handle] = LocalDataTrack(self, handle, request)
        # The channel is opened meanwhile, if nothing has needed it yet.
        self._port.data_tracks_ready()
        self._ask(track)
        try:
            await track._answer
        except BaseException:
            # On the server it may have come to something.
            self._unpublish(track)
            raise
        return track

    def _new_handle(self) -> int:
        taken = self._tracks.keys() | self._unpublishing
        for _ in range(_MAX_HANDLE):
            # In turns, so that one is not used again while packets of its last track are on their way.
            self._last_handle = self._last_handle % _MAX_HANDLE + 1
            if self._last_handle not in taken:
                return self._last_handle
        raise PublishDataTrackError("no more data tracks can be published")

    def _ask(self, *tracks: LocalDataTrack) -> None:
        """Have tracks published when their turn comes; who waits for them waits no longer than `PUBLISH_TIMEOUT`."""
        for track in tracks:
            self._asking.add(track._handle)
        self._go_on()

    def _go_on(self) -> None:
        if self._away or self._closed:
            return
        loop = asyncio.get_running_loop()
        for handle in self._ending.take():
            self._turns[handle] = loop.call_later(_TURN, self._next_turn, handle)
            self._post_unpublish(handle)
        for handle in self._asking.take():
            track = self._tracks[handle]
            track._stop_waiting()
            track._giving_up = loop.call_later(PUBLISH_TIMEOUT, self._give_up, track)
            self._port.post_request(rtc.SignalRequest(publish_data_track_request=track._request))

    def _give_up(self, track: LocalDataTrack) -> None:
        track._giving_up = None
        words = f"the server did not answer within {PUBLISH_TIMEOUT:g} s"
        if track._state is not _State.PENDING:
            _logger.warning("a data track could not be published again: %s", words)
        track._fail(PublishDataTrackError(words))
        self._unpublish(track)

    def _unpublish(self, track: LocalDataTrack) -> None:
        if self._tracks.get(track._handle) is track:
            self._forget(track)
            self._end(track._handle)

    def _end(self, handle: int) -> None:
        """Have the server end a track when it is its turn."""
        if not self._closed:
            self._unpublishing.add(handle)
            self._ending.add(handle)
            self._go_on()

    def _post_unpublish(self, handle: int) -> None:
        request = rtc.UnpublishDataTrackRequest(pub_handle=handle)
        self._port.post_request(rtc.SignalRequest(unpublish_data_track_request=request))

    def _ended(self, handle: int) -> None:
        self._unpublishing.discard(handle)
        self._next_turn(handle)

    def _next_turn(self, handle: int) -> None:
        if (turn := self._turns.pop(handle, None)) is not None:
            turn.cancel()
        self._ending.discard(handle)
        self._go_on()

    def _stop_turns(self) -> None:
        for turn in self._turns.values():
            turn.cancel()
        self._turns.clear()

    def _forget(self, track: LocalDataTrack) -> None:
        track._state = _State.UNPUBLISHED
        track._stop_waiting()
        self._queue.remove(track._handle)
        self._asking.discard(track._handle)
        del self._tracks[track._handle]
        self._go_on()

    def published(self) -> list[rtc.PublishDataTrackResponse]:
        """Return what is published in the session in force (`SyncState.publish_data_tracks`)."""
        return [
            rtc.PublishDataTrackResponse(info=track._told)
            for track in self._tracks.values()
            if track._state is _State.PUBLISHED
        ]

    # -- frames -------------------------------------------------------------------------------------

    @property
    def replaced(self) -> int:
        """How many frames a newer one took the place of before they were sent."""
        return self._queue.replaced

    def _seal(self, payload: bytes) -> tuple[FrameEncryption, bytes]:
        assert self._cipher is not None
        try:
            return self._cipher.seal_frame(payload)
        except EncryptionError as error:
            raise PushFrameError(str(error)) from error

    def _push(
        self, handle: int, payload: bytes, user_timestamp: int | None, encryption: FrameEncryption | None = None
    ) -> None:
        ticks = int(_monotonic() * CLOCK_RATE) + self._clock_base
        self._queue.push(handle, OutgoingFrame(payload, ticks, user_timestamp, encryption))
        self.send()

    def send(self) -> None:
        """Send what waits, as far as the channel takes it."""
        port, queue = self._port, self._queue
        while queue and port.data_tracks_ready():
            packet = queue.next()
            assert packet is not None
            port.send_data_track_packet(packet)

    # -- what the server says -----------------------------------------------------------------------

    def on_published(self, info: models.DataTrackInfo) -> None:
        """A track is published, for the first time or again."""
        handle = info.pub_handle
        track = self._tracks.get(handle)
        if track is None:
            if handle not in self._unpublishing and 0 < handle <= _MAX_HANDLE:
                # An answer to what is not wanted any more.
                self._end(handle)
            return
        before, track._state = track._state, _State.PUBLISHED
        track._told = info
        track._info = info_of(info)
        track._stop_waiting()
        self._asking.discard(handle)
        self._go_on()
        if before is _State.PENDING:
            self._queue.add(handle)
            if not track._answer.done():
                track._answer.set_result(None)
        self._queue.release(handle)
        self.send()

    def on_refused(self, response: rtc.RequestResponse) -> None:
        """The server refuses to publish a track, or knows of none to unpublish."""
        if response.WhichOneof("request") == "unpublish_data_track":
            self._ended(response.unpublish_data_track.pub_handle)
            return
        track = self._tracks.get(response.publish_data_track.pub_handle)
        if track is None:
            return
        error = _refusal(response)
        if track._state is not _State.PENDING:
            _logger.warning("a data track could not be published again: %s", error)
        track._fail(error)
        self._forget(track)

    def on_unpublished(self, info: models.DataTrackInfo) -> None:
        """The server has ended a track, by our wish or by its own."""
        self._ended(info.pub_handle)
        track = self._tracks.get(info.pub_handle)
        if track is not None and track._told.sid == info.sid and not track._asked_twice:
            self._forget(track)

    def revoked(self) -> None:
        """We may not publish data any more: the server has ended all tracks."""
        for track in list(self._tracks.values()):
            if track._state is not _State.PENDING:
                self._forget(track)

    # -- losses -------------------------------------------------------------------------------------

    def interrupted(self, *, session_ends: bool) -> None:
        """The connection was lost: what is asked meanwhile is asked when it is back, or in the next session."""
        self._away = True
        self._stop_turns()
        self._suspect |= {handle for handle, track in self._tracks.items() if track._giving_up is not None}
        for track in self._tracks.values():
            # It is not the server that takes long.
            track._stop_waiting()
        if session_ends:
            self._unpublishing.clear()
            self._suspect.clear()
            self._asking.clear()
            self._ending.clear()
            self._queue.interrupt()
            for handle in self._tracks:
                self._queue.hold(handle)

    def resumed(self) -> None:
        """The same session goes on; answers may have been lost with the link."""
        self._away = False
        unanswered = [self._tracks[handle] for handle in self._tracks if handle in self._suspect]
        self._suspect.clear()
        for handle in self._unpublishing:
            self._ending.add(handle)
        for track in unanswered:
            # What the server knows already it would refuse to publish again.
            track._asked_twice = True
            self._post_unpublish(track._handle)
        self._ask(*unanswered)
        self.send()

    def restarted(self) -> None:
        """There is another session, which knows none of our tracks."""
        self._away = False
        self._unpublishing.clear()
        self._ending.clear()
        self._asking.clear()
        for track in self._tracks.values():
            track._asked_twice = False
            if track._state is not _State.PENDING:
                track._state = _State.REPUBLISHING
        self._ask(*self._tracks.values())
        self.send()

    def close(self) -> None:
        """The room is disconnected: nothing is published any more."""
        self._closed = True
        self._stop_turns()
        for track in list(self._tracks.values()):
            track._fail(ClosedError("the room was disconnected"))
            self._forget(track)


def _refusal(response: rtc.RequestResponse) -> PublishDataTrackError:
    try:
        name = rtc.RequestResponse.Reason.Name(response.reason)
    except ValueError:
        name = str(response.reason)
    words = _REASONS.get(response.reason) or response.message or "the server refuses it"
    return PublishDataTrackError(words, reason=response.reason, reason_name=name)
