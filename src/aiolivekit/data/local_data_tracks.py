"""The data tracks we publish: the driver of `core.data_track_queue`."""

# ruff: noqa: SLF001 - the tracks and their keeper belong together

from __future__ import annotations

import asyncio
import logging
import random
import time
from enum import Enum, auto

from livekit.protocol import models, rtc

from ..core.data_track_packet import CLOCK_RATE, MAX_FRAME_PACKETS, largest_payload
from ..core.data_track_queue import FrameQueue, OutgoingFrame
from ..errors import ClosedError, PublishDataTrackError, PushFrameError
from .data_track import (
    DataTrackFrame,
    DataTrackFrameEncoding,
    DataTrackInfo,
    DataTrackSchemaId,
    info_of,
    set_schema,
)
from .port import DataTrackPort

__all__ = ["LocalDataTrack", "LocalDataTracks"]

_logger = logging.getLogger("aiolivekit.data")

PUBLISH_TIMEOUT = 10.0
"""Seconds the server may take to answer; the reference's."""
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
        self._asked = self._asked_twice = False

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
                timestamp.

        Raises:
            PushFrameError: If the track is published no more, or the frame is too large.
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
        if len(payload) > 1_000_000 and len(payload) > (limit := MAX_FRAME_PACKETS * largest_payload(timestamp)):
            raise PushFrameError(f"a frame has at most {limit} bytes, not {len(payload)}")
        self._owner._push(self._handle, payload, timestamp)

    def is_published(self) -> bool:
        """Whether it is still published; while the connection is being restored, too."""
        return self._state is not _State.UNPUBLISHED

    async def unpublish(self) -> None:
        """Publish it no more. Twice is once."""
        self._owner._unpublish(self)

    def __repr__(self) -> str:
        return f"LocalDataTrack(sid={self._info.sid!r}, name={self._info.name!r})"


class LocalDataTracks:
    """The data tracks of the local participant in one visit to a room.

    Args:
        port: Sends what there is to send.
    """

    def __init__(self, port: DataTrackPort) -> None:
        self._port = port
        self._tracks: dict[int, LocalDataTrack] = {}
        self._unpublishing: set[int] = set()
        self._queue = FrameQueue()
        self._last_handle = 0
        self._session_gone = False
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
        request = rtc.PublishDataTrackRequest(pub_handle=handle, name=name)
        if described.HasField("frame_encoding"):
            request.frame_encoding.CopyFrom(described.frame_encoding)
        if described.HasField("schema"):
            request.schema.CopyFrom(described.schema)
        track = self._tracks[handle] = LocalDataTrack(self, handle, request)
        # The channel is opened meanwhile, if nothing has needed it yet.
        self._port.data_tracks_ready()
        self._ask(track)
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT):
                await track._answer
        except TimeoutError:
            self._withdraw(track)
            raise PublishDataTrackError(f"the server did not answer within {PUBLISH_TIMEOUT:g} s") from None
        except BaseException:
            self._withdraw(track)
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

    def _ask(self, track: LocalDataTrack) -> None:
        if not self._session_gone:
            track._asked = True
            self._port.post_request(rtc.SignalRequest(publish_data_track_request=track._request))

    def _withdraw(self, track: LocalDataTrack) -> None:
        """End a track whose publishing came to nothing here; on the server it may have come to something."""
        if self._tracks.get(track._handle) is track:
            self._forget(track)
            self._post_unpublish(track._handle)

    def _unpublish(self, track: LocalDataTrack) -> None:
        if self._tracks.get(track._handle) is track:
            self._forget(track)
            self._post_unpublish(track._handle)

    def _post_unpublish(self, handle: int) -> None:
        if not self._closed and not self._session_gone:
            self._unpublishing.add(handle)
            request = rtc.UnpublishDataTrackRequest(pub_handle=handle)
            self._port.post_request(rtc.SignalRequest(unpublish_data_track_request=request))

    def _forget(self, track: LocalDataTrack) -> None:
        track._state = _State.UNPUBLISHED
        if track._giving_up is not None:
            track._giving_up.cancel()
            track._giving_up = None
        self._queue.remove(track._handle)
        del self._tracks[track._handle]

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

    def _push(self, handle: int, payload: bytes, user_timestamp: int | None) -> None:
        ticks = int(_monotonic() * CLOCK_RATE) + self._clock_base
        self._queue.push(handle, OutgoingFrame(payload, ticks, user_timestamp))
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
                self._post_unpublish(handle)
            return
        before, track._state = track._state, _State.PUBLISHED
        track._told = info
        track._info = info_of(info)
        if track._giving_up is not None:
            track._giving_up.cancel()
            track._giving_up = None
        if before is _State.PENDING:
            self._queue.add(handle)
            if not track._answer.done():
                track._answer.set_result(None)
        self._queue.release(handle)
        self.send()

    def on_refused(self, response: rtc.RequestResponse) -> None:
        """The server refuses to publish a track, or knows of none to unpublish."""
        if response.WhichOneof("request") == "unpublish_data_track":
            self._unpublishing.discard(response.unpublish_data_track.pub_handle)
            return
        track = self._tracks.get(response.publish_data_track.pub_handle)
        if track is None:
            return
        error = _refusal(response)
        if track._state is _State.PENDING:
            self._forget(track)
            if not track._answer.done():
                track._answer.set_exception(error)
                # Who waits may have been cancelled in the same step; then nobody looks at it.
                track._answer.exception()
        else:
            _logger.warning("a data track could not be published again: %s", error)
            self._forget(track)

    def on_unpublished(self, info: models.DataTrackInfo) -> None:
        """The server has ended a track, by our wish or by its own."""
        self._unpublishing.discard(info.pub_handle)
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
        """The connection was lost; if the session ends, what is asked meanwhile is asked in the next one."""
        self._session_gone = self._session_gone or session_ends
        if session_ends:
            self._unpublishing.clear()
            self._queue.interrupt()
            for track in self._tracks.values():
                self._queue.hold(track._handle)

    def resumed(self) -> None:
        """The same session goes on; answers may have been lost with the link."""
        for handle in list(self._unpublishing):
            self._post_unpublish(handle)
        for track in self._tracks.values():
            if track._state is _State.PENDING and track._asked:
                # The server knows it or does not. If it does, it would refuse the same again.
                track._asked_twice = True
                self._post_unpublish(track._handle)
                self._ask(track)
        self.send()

    def restarted(self) -> None:
        """There is another session, which knows none of our tracks."""
        self._session_gone = False
        loop = asyncio.get_running_loop()
        for track in self._tracks.values():
            track._asked_twice = False
            if track._state is not _State.PENDING:
                track._state = _State.REPUBLISHING
                if track._giving_up is not None:
                    track._giving_up.cancel()
                track._giving_up = loop.call_later(PUBLISH_TIMEOUT, self._give_up, track)
            self._ask(track)
        self.send()

    def _give_up(self, track: LocalDataTrack) -> None:
        track._giving_up = None
        _logger.warning("a data track could not be published again: the server did not answer")
        self._unpublish(track)

    def close(self) -> None:
        """The room is disconnected: nothing is published any more."""
        self._closed = True
        for track in list(self._tracks.values()):
            self._forget(track)
            if not track._answer.done():
                track._answer.set_exception(ClosedError("the room was disconnected"))
                track._answer.exception()


def _refusal(response: rtc.RequestResponse) -> PublishDataTrackError:
    try:
        name = rtc.RequestResponse.Reason.Name(response.reason)
    except ValueError:
        name = str(response.reason)
    words = _REASONS.get(response.reason) or response.message or "the server refuses it"
    return PublishDataTrackError(words, reason=response.reason, reason_name=name)
