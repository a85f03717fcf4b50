"""Who else publishes data tracks, and our subscriptions to them: the driver of `core.data_track_roster`."""

# ruff: noqa: SLF001 - the tracks and their keeper belong together

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from livekit.protocol import models, rtc

from ..core.data_track_frames import FrameAssembler
from ..core.data_track_packet import DataTrackPacket, FrameEncryption, MalformedPacketError
from ..core.data_track_roster import DataTrackRoster, Entry, Published, RosterChange, SubscriptionWish, Unpublished
from ..core.request_window import RequestWindow
from ..errors import SubscribeDataTrackError
from .data_track import DataTrackFrame
from .port import DataTrackPort, FrameCipher
from .remote_data_track import DataTrackStream, RemoteDataTrack

__all__ = ["RemoteDataTracks"]

SUBSCRIBE_TIMEOUT = 10.0
"""Seconds the server may take to give a handle; the reference's."""
_HANDLES_SETTLE = 0.5
"""Seconds after which the server has heeded that a track is not wanted, and takes the next wish for a new one."""

_AT_ONCE = 4
"""Wishes without an answer: livekit-server has five places for them, and looks at others three seconds later."""
_TURN = 0.25
"""Seconds after which a wish without an answer lets the next one go."""
_SAY_AGAIN = 1.0
"""Seconds after which a subscription without a handle is asked for again. livekit-server forgets one that reaches it
while it clears up an earlier one of the same track; to say it twice does no harm."""

Announce = Callable[[RemoteDataTrack], None]


class RemoteDataTracks:
    """The data tracks of the others in one visit to a room.

    Args:
        port: Sends what there is to send.
        published: Told of tracks that are there.
        unpublished: Told of tracks that are gone, with their sid.
        cipher: Decrypts frames; `None` if nothing is encrypted.
    """

    def __init__(
        self,
        port: DataTrackPort,
        published: Announce,
        unpublished: Callable[[RemoteDataTrack, str], None],
        cipher: FrameCipher | None = None,
    ) -> None:
        self._port = port
        self._cipher = cipher
        self._published = published
        self._unpublished = unpublished
        self._roster = DataTrackRoster()
        self._tracks: dict[Entry, RemoteDataTrack] = {}
        self._wishes: RequestWindow[Entry] = RequestWindow(_AT_ONCE)
        self._suspect: set[Entry] = set()
        self._away = False
        self._closed = False
        self._asking_again: asyncio.TimerHandle | None = None
        self.dropped: Counter[str] = Counter()

    @property
    def tracks(self) -> list[RemoteDataTrack]:
        """All that are published now."""
        return list(self._tracks.values())

    # -- what the server says -----------------------------------------------------------------------

    def update(self, identity: str, infos: Iterable[models.DataTrackInfo]) -> None:
        """Take all that a participant publishes; nothing if it left."""
        if not self._closed:
            self._perform(self._roster.update(identity, infos))

    def replace(self, all_of: Mapping[str, Iterable[models.DataTrackInfo]]) -> None:
        """Take all that everybody publishes; who is not among them has left."""
        if not self._closed:
            self._perform(self._roster.replace(all_of))

    def on_handles(self, handles: rtc.DataTrackSubscriberHandles) -> None:
        """Take under which handles packets come."""
        before = [track for track in self._tracks.values() if track._entry.handle is not None]
        changed = self._roster.handles({handle: each.track_sid for handle, each in handles.sub_handles.items()})
        for track in [track for track in self._tracks.values() if track._turn is not None]:
            if track._entry.wanted is (track._entry.handle is not None):
                self._answered(track)
        for entry in changed:
            track = self._tracks[entry]
            if entry.wanted:
                self._stop_waiting(track)
                track._active = True
            # What is left of frames that came under another handle goes with no packet of this one.
            track._assembler = FrameAssembler(track._assembler.max_partial_frames)
        for track in before:
            if track._entry.wanted and track._entry.handle is None:
                self._say_again_later(track)

    def on_packet(self, data: bytes) -> None:
        """Take a packet; what is not for a subscription of ours is counted and dropped."""
        try:
            packet = DataTrackPacket.parse(data)
        except MalformedPacketError:
            self.dropped["malformed"] += 1
            return
        entry = self._roster.by_handle(packet.handle)
        if entry is None:
            self.dropped["unknown handle"] += 1
            return
        track = self._tracks[entry]
        if not track._streams:
            # Not wanted any more, which the server will heed.
            return
        track._active = True
        whole = track._assembler.push(packet)
        if whole is None:
            return
        first, sealed = whole
        payload = self._opened(track, first.encryption, sealed)
        if payload is None:
            return
        for reference in track._streams:
            stream = reference()
            if stream is not None:
                # Each its own: a frame can be changed.
                stream._push(DataTrackFrame(payload, first.user_timestamp))

    def _opened(self, track: RemoteDataTrack, encryption: FrameEncryption | None, payload: bytes) -> bytes | None:
        """Return a frame decrypted if it was encrypted, or `None`, and count it."""
        if encryption is None and not track._entry.info.encryption:
            return payload
        opened = None
        if encryption is None:
            self.dropped["plaintext"] += 1
        elif self._cipher is None:
            self.dropped["encrypted"] += 1
        else:
            opened = self._cipher.open_frame(track.publisher_identity, encryption, payload)
            if opened is None:
                self.dropped["undecryptable"] += 1
        return opened

    def _perform(self, changes: Iterable[RosterChange]) -> None:
        for change in changes:
            match change:
                case Published(entry):
                    track = self._tracks[entry] = RemoteDataTrack(self, entry)
                    self._published(track)
                case Unpublished(entry, sid):
                    track = self._tracks.pop(entry)
                    self._suspect.discard(entry)
                    self._answered(track)
                    self._end(track, None if track._active else "the track was unpublished")
                    self._unpublished(track, sid)
                case SubscriptionWish(entry):
                    self._wish(entry)

    def _wish(self, entry: Entry) -> None:
        # What was said before, an answer to it or none, has nothing to do with what is wanted now.
        self._stop_turn(self._tracks[entry])
        self._stop_saying_again(self._tracks[entry])
        self._wishes.add(entry)
        self._go_on()

    def _go_on(self) -> None:
        if self._away or self._closed:
            return
        loop = asyncio.get_running_loop()
        for entry in self._wishes.take():
            track = self._tracks[entry]
            self._stop_turn(track)
            track._turn = loop.call_later(_TURN, self._answered, track)
            if entry.wanted:
                self._wait(track)
                self._say_again_later(track)
            self._post(entry.info.sid, entry.wanted)

    def _answered(self, track: RemoteDataTrack) -> None:
        """It is another one's turn."""
        self._stop_turn(track)
        self._wishes.discard(track._entry)
        self._go_on()

    def _stop_turn(self, track: RemoteDataTrack) -> None:
        if track._turn is not None:
            track._turn.cancel()
            track._turn = None

    def _say_again_later(self, track: RemoteDataTrack) -> None:
        self._stop_saying_again(track)
        if not self._away:
            loop = asyncio.get_running_loop()
            track._saying_again = loop.call_later(_SAY_AGAIN, self._say_again, track)

    def _say_again(self, track: RemoteDataTrack) -> None:
        track._saying_again = None
        if track._entry.wanted and track._entry.handle is None:
            self._post(track._entry.info.sid, True)
            if track._giving_up is not None:
                self._say_again_later(track)

    def _stop_saying_again(self, track: RemoteDataTrack) -> None:
        if track._saying_again is not None:
            track._saying_again.cancel()
            track._saying_again = None

    def _post(self, sid: str, subscribe: bool) -> None:
        update = rtc.UpdateDataSubscription.Update(track_sid=sid, subscribe=subscribe)
        request = rtc.UpdateDataSubscription(updates=[update])
        self._port.post_request(rtc.SignalRequest(update_data_subscription=request))

    # -- subscriptions ------------------------------------------------------------------------------

    def _subscribe(self, track: RemoteDataTrack, stream: DataTrackStream) -> None:
        if self._closed or not track._entry.published:
            why = "the room is disconnected" if self._closed else "the track is not published any more"
            stream._track = None
            stream._end(SubscribeDataTrackError(why))
            return
        if (refusal := self._refusal(track)) is not None:
            stream._track = None
            stream._end(SubscribeDataTrackError(refusal))
            return
        loop = asyncio.get_running_loop()

        def let_go(reference: weakref.ref[DataTrackStream]) -> None:
            # From the garbage collector, on whichever thread it ran.
            with suppress(RuntimeError):  # the loop is closed, and the room with it
                loop.call_soon_threadsafe(self._stream_ended, track, lambda other: other is reference)

        track._streams.append(weakref.ref(stream, let_go))
        if not track._entry.wanted:
            track._assembler = FrameAssembler(track._assembler.max_partial_frames)
            self._perform(self._roster.want(track._entry))

    def _refusal(self, track: RemoteDataTrack) -> str | None:
        """Return why a track cannot be subscribed to, if so."""
        cipher = self._cipher
        if track.info.uses_e2ee:
            return "the track is encrypted, and there is no key for it" if cipher is None else None
        if cipher is not None and not cipher.accepts_plaintext:
            return "the track is not encrypted, but the room is"
        return None

    def _stream_ended(self, track: RemoteDataTrack, which: Callable[[weakref.ref[DataTrackStream]], bool]) -> None:
        track._streams = [reference for reference in track._streams if not which(reference)]
        if not track._streams:
            self._stop_waiting(track)
            track._active = False
            self._perform(self._roster.unwant(track._entry))

    def _wait(self, track: RemoteDataTrack) -> None:
        self._stop_waiting(track)
        loop = asyncio.get_running_loop()
        track._giving_up = loop.call_later(SUBSCRIBE_TIMEOUT, self._give_up, track)

    def _stop_waiting(self, track: RemoteDataTrack) -> None:
        if track._giving_up is not None:
            track._giving_up.cancel()
            track._giving_up = None

    def _give_up(self, track: RemoteDataTrack) -> None:
        track._giving_up = None
        if track._active or track._entry.handle is not None:
            # The one it had before, which the server did not take back.
            track._active = True
            return
        self._end(track, f"the server did not give us the track within {SUBSCRIBE_TIMEOUT:g} s")

    def _end(self, track: RemoteDataTrack, why: str | None) -> None:
        self._stop_waiting(track)
        self._stop_saying_again(track)
        for reference in list(track._streams):
            stream = reference()
            if stream is not None:
                stream._end(None if why is None else SubscribeDataTrackError(why))

    # -- losses -------------------------------------------------------------------------------------

    def interrupted(self, *, session_ends: bool) -> None:
        """The connection was lost: what is asked meanwhile is asked when it is back, or in the next session."""
        self._away = True
        self._stop_asking_again()
        for entry in self._roster.unanswered():
            track = self._tracks[entry]
            if track._giving_up is not None:
                # It is not the server that takes long.
                self._suspect.add(entry)
                self._stop_waiting(track)
        for track in self._tracks.values():
            self._stop_turn(track)
            self._stop_saying_again(track)
        if session_ends:
            self._suspect.clear()
            self._wishes.clear()

    def resumed(self) -> None:
        """The same session goes on; an answer may have been lost with the link."""
        self._away = False
        for entry in self._suspect:
            # The server tells handles when they change: it takes another subscription to hear of the one there is.
            self._wishes.discard(entry)
            self._post(entry.info.sid, False)
        if self._suspect:
            loop = asyncio.get_running_loop()
            self._asking_again = loop.call_later(_HANDLES_SETTLE, self._ask_again)
        self._go_on()

    def _ask_again(self) -> None:
        self._asking_again = None
        suspect, self._suspect = self._suspect, set()
        for entry in suspect:
            if entry.wanted:
                self._wishes.add(entry)
        self._go_on()

    def _stop_asking_again(self) -> None:
        if self._asking_again is not None:
            self._asking_again.cancel()
            self._asking_again = None

    def restarted(self) -> None:
        """There is another session, which knows of no subscription; who is there has been told (`replace`)."""
        self._wishes.clear()
        self._perform(self._roster.restarted())
        self._away = False
        self._go_on()

    def close(self) -> None:
        """The room is disconnected: streams end."""
        self._closed = True
        self._stop_asking_again()
        for track in self._tracks.values():
            self._stop_turn(track)
            self._end(track, None if track._active else "the room was disconnected")
            track._entry.published = False
