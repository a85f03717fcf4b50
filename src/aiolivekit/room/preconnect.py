"""What was said before an agent listened is sent to it as bytes, so that it misses no word (`preconnect_buffer`).

LiveKit's agents read a byte stream of this topic for each track that announces it, before they read the track.
"""

# ruff: noqa: SLF001 - a track's source is recorded here

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from .._tasks import TaskScope
from ..enums import ParticipantKind, ParticipantState
from ..errors import ClosedError, LiveKitError
from . import events
from .track import LocalAudioTrack
from .track_publication import LocalTrackPublication

if TYPE_CHECKING:
    from ..media.preconnect import SoundBuffer
    from .members import Members
    from .participant import RemoteParticipant

__all__ = ["PreconnectBuffers"]

_logger = logging.getLogger("aiolivekit.room")

_TOPIC = "lk.agent.pre-connect-audio-buffer"
_NAME = "preconnect-buffer"
_MIME_TYPE = "audio/pcm"
"""Samples of 16 bits, as agents take everything that is not said to be Opus."""
_PATIENCE = 10.0
"""Seconds for an agent to come and listen; LiveKit's other clients wait as long."""


class PreconnectBuffers:
    """Sends what the sources of published tracks played before an agent listened.

    Args:
        members: Who is in the room.
    """

    def __init__(self, members: Members) -> None:
        self._members = members
        self._scope = TaskScope(_report)
        self._came = asyncio.Event()
        self._closed = False

    def follow(self, event: events.RoomEvent) -> None:
        """Follow who comes, and what we publish."""
        match event:
            case events.ParticipantActive() | events.ParticipantConnected():
                self._came.set()
            case events.LocalTrackPublished(publication=publication, track=track):
                if publication._options.preconnect_buffer and isinstance(track, LocalAudioTrack):
                    self._scope.spawn("aiolivekit-preconnect", self._deliver(publication, track))

    async def _deliver(self, publication: LocalTrackPublication, track: LocalAudioTrack) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await publication.wait_for_subscription()
                sound = track._source._take_preconnect_buffer()
                agent = await self._agent()
        except (TimeoutError, LiveKitError):
            track._source._take_preconnect_buffer()
            _logger.warning("what was said before the track was heard is dropped: no agent came to listen")
            return
        if sound is not None:
            await self._send(sound, publication.sid, agent.identity)

    async def _agent(self) -> RemoteParticipant:
        while True:
            for participant in self._members.remote.values():
                if (
                    participant.kind == ParticipantKind.PARTICIPANT_KIND_AGENT
                    and participant.state == ParticipantState.PARTICIPANT_STATE_ACTIVE
                ):
                    return participant
            self._came.clear()
            await self._came.wait()
            if self._closed:
                raise ClosedError("the room was disconnected")

    async def _send(self, sound: SoundBuffer, sid: str, identity: str) -> None:
        samples = sound.take()
        try:
            writer = await self._members.local.stream_bytes(
                _NAME,
                total_size=len(samples),
                mime_type=_MIME_TYPE,
                attributes={
                    "trackId": sid,
                    "sampleRate": str(sound.sample_rate),
                    "channels": str(sound.num_channels),
                },
                destination_identities=[identity],
                topic=_TOPIC,
            )
            await writer.write(samples)
            await writer.aclose()
        except LiveKitError as error:
            _logger.warning("what was said before the track was heard could not be sent: %s", error)

    def close(self) -> None:
        """The room is disconnected: wait for nobody any more."""
        self._closed = True
        self._came.set()

    async def aclose(self) -> None:
        """Send nothing any more."""
        self.close()
        await self._scope.aclose()


def _report(name: str, error: BaseException) -> None:
    _logger.error("%s failed", name, exc_info=error)
