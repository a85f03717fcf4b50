"""What is sent and received in the media sections of a peer connection."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import webrtc
import wrtc  # type: ignore[import-not-found,unused-ignore]

from ..core.encodings import Encoding
from ..core.packet_trailer import MetadataWindow
from ..enums import DegradationPreference
from ..errors import CodecUnavailableError, MediaError
from . import openh264
from .transforms import FrameChain, FrameChains

__all__ = ["LocalMedia", "LocalSender", "MediaKind", "OutgoingTrack", "RemoteMedia"]

MediaKind = Literal["audio", "video"]

_Preference = webrtc.RTCDegradationPreference
_DEGRADATION = {
    DegradationPreference.BALANCED: _Preference.balanced,
    DegradationPreference.MAINTAIN_FRAMERATE: _Preference.maintain_framerate,
    DegradationPreference.MAINTAIN_RESOLUTION: _Preference.maintain_resolution,
    DegradationPreference.MAINTAIN_FRAMERATE_AND_RESOLUTION: _Preference.maintain_framerate_and_resolution,
}


class LocalMedia(Protocol):
    """Where the media of a local track come from (`LocalAudio`, `LocalVideo`)."""

    @property
    def media_track(self) -> webrtc.MediaStreamTrack:
        """The track that carries what is written."""


class OutgoingTrack:
    """One publication's own copy of a local track.

    It has its own id, which is the `cid` of the publication and stands in our offers, and its own mute switch, so a
    source can be published in several rooms. It outlives the sessions that send it.

    Args:
        local: The source.
    """

    __slots__ = ("_track", "kind", "metadata")

    def __init__(self, local: LocalMedia) -> None:
        self._track = local.media_track.clone()
        self.metadata: MetadataWindow | None = getattr(local, "metadata", None)
        """What belongs to its newest pictures."""
        self.kind: MediaKind = "audio" if self._track.kind == "audio" else "video"

    @property
    def cid(self) -> str:
        """The id by which the server finds the track in our offer (`AddTrackRequest.cid`)."""
        return self._track.id

    @property
    def enabled(self) -> bool:
        """Whether media are sent; without, audio is silence and video stands still."""
        return self._track.enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._track.enabled = value

    def close(self) -> None:
        """Let go of the copy; the source lives on."""
        self._track.stop()


class LocalSender:
    """A section of a peer connection in which a track of ours is sent."""

    __slots__ = ("_activating", "_chains", "_pc", "_transceiver", "active", "cid", "encodings", "kind", "track")

    def __init__(
        self,
        pc: webrtc.RTCPeerConnection,
        transceiver: webrtc.RTCRtpTransceiver,
        track: OutgoingTrack,
        encodings: Sequence[Encoding],
        chains: FrameChains,
    ) -> None:
        self._pc: webrtc.RTCPeerConnection | None = pc
        self._transceiver = transceiver
        self._chains = chains
        self.track = track
        self.cid = track.cid
        """The id by which our offers name it, whichever track is sent."""
        self.kind = track.kind
        self.encodings = tuple(encodings)
        self.active = tuple(encoding.active for encoding in encodings)
        """Which encodings are to be sent."""
        self._activating = False

    @classmethod
    def add(
        cls,
        pc: webrtc.RTCPeerConnection,
        track: OutgoingTrack,
        encodings: Sequence[Encoding],
        *,
        codec: str | None,
        h264: bool,
        chains: FrameChains,
    ) -> LocalSender:
        """Add a section for `track` (for `PeerConnection.send`).

        Raises:
            MediaError: If libwebrtc cannot send that codec or those encodings.
        """
        init = webrtc.RTCRtpTransceiverInit(
            direction=webrtc.RTCRtpTransceiverDirection.sendonly,
            streams=[webrtc.MediaStream()],
            send_encodings=[_parameters(encoding) for encoding in encodings],
        )
        try:
            transceiver = pc.add_transceiver(track._track, init)
        except (webrtc.PythonWebRTCExceptionBase, ValueError, TypeError) as error:
            raise MediaError(f"libwebrtc cannot send the track: {error}") from error
        if codec is not None:
            _prefer(transceiver, track.kind, codec, h264=h264)
        if chains.sealed:
            chains.of_sender(transceiver)
        return cls(pc, transceiver, track, encodings, chains)

    @property
    def mid(self) -> str | None:
        """The section, once it has been offered."""
        return self._transceiver.mid

    def remove_from(self, pc: webrtc.RTCPeerConnection) -> None:
        """Stop sending on `pc` (for `PeerConnection.remove`); does nothing for another connection's sender."""
        if self._pc is not pc:
            return
        self._pc = None
        if pc.signaling_state is not webrtc.RTCSignalingState.closed:
            pc.remove_track(self._transceiver.sender)
        if (chain := self._chains.find(self._transceiver.sender)) is not None:
            chain.clear()

    @property
    def chain(self) -> FrameChain:
        """The steps that its encoded frames pass; first read before the section is negotiated."""
        return self._chains.of_sender(self._transceiver)

    async def replace(self, track: OutgoingTrack) -> None:
        """Send another track of the same kind, without a negotiation; does nothing once the connection is closed.

        Raises:
            MediaError: If libwebrtc does not do it.
        """
        before, self.track = self.track, track
        try:
            if not self._is_closed:
                await self._transceiver.sender.replace_track(track._track)
        except (webrtc.PythonWebRTCExceptionBase, ValueError, TypeError) as error:
            if not self._is_closed:
                self.track = before
                raise MediaError(f"libwebrtc cannot send that track instead: {error}") from error

    @property
    def _is_closed(self) -> bool:
        return self._pc is None or self._pc.signaling_state is webrtc.RTCSignalingState.closed

    def in_force(self) -> list[Encoding]:
        """Return the encodings as libwebrtc has them; what was asked for may not have been granted."""
        return [
            Encoding(
                rid=each.rid or None,
                active=each.active,
                max_bitrate=each.max_bitrate,
                max_framerate=each.max_framerate,
                scale_resolution_down_by=each.scale_resolution_down_by,
                scalability_mode=each.scalability_mode,
                priority=None if each.priority is None else webrtc.RTCPriorityType(each.priority).value,
            )
            for each in self._transceiver.sender.get_parameters().encodings
        ]

    async def prefer(self, degradation: DegradationPreference) -> None:
        """Say what is given up first when bandwidth or time is short.

        Raises:
            MediaError: If libwebrtc does not do it.
        """
        if self._pc is None:
            return
        try:
            parameters = self._transceiver.sender.get_parameters()
            parameters.degradation_preference = _DEGRADATION[degradation]
            await self._transceiver.sender.set_parameters(parameters)
        except (webrtc.PythonWebRTCExceptionBase, ValueError, TypeError) as error:
            raise MediaError(f"libwebrtc cannot prefer that: {error}") from error

    async def encode(self, encodings: Sequence[Encoding]) -> None:
        """Send with other bitrates, frame rates and sizes; which encodings are sent stays as it is.

        Args:
            encodings: As many as there are.

        Raises:
            MediaError: If libwebrtc does not do it.
        """
        self.encodings = tuple(encodings)
        try:
            if self._is_closed:
                return
            parameters = self._transceiver.sender.get_parameters()
            for each, wanted in zip(parameters.encodings, encodings, strict=True):
                each.max_bitrate = wanted.max_bitrate
                each.max_framerate = wanted.max_framerate
                each.scale_resolution_down_by = wanted.scale_resolution_down_by
            await self._transceiver.sender.set_parameters(parameters)
        except (webrtc.PythonWebRTCExceptionBase, ValueError, TypeError) as error:
            raise MediaError(f"libwebrtc cannot send these encodings: {error}") from error

    async def activate(self, active: Sequence[bool]) -> None:
        """Send these encodings and no others, without a negotiation; of several calls at once the last counts.

        Raises:
            MediaError: If libwebrtc does not do it.
        """
        self.active = tuple(active)
        if self._activating:
            # Whoever is at it goes on until what is wanted last is so.
            return
        self._activating = True
        try:
            applied = None
            while applied != self.active and self._pc is not None:
                applied = self.active
                parameters = self._transceiver.sender.get_parameters()
                for encoding, wanted in zip(parameters.encodings, applied, strict=False):
                    encoding.active = wanted
                await self._transceiver.sender.set_parameters(parameters)
        except (webrtc.PythonWebRTCExceptionBase, ValueError, TypeError) as error:
            raise MediaError(f"libwebrtc cannot switch the encodings: {error}") from error
        finally:
            self._activating = False

    async def get_stats(self) -> list[dict[str, Any]]:
        """Return the W3C stats of the sender."""
        return stats_dicts(await self._transceiver.sender.get_stats())

    async def packets_sent(self) -> tuple[float, int] | None:
        """Return how many packets had been sent, repetitions apart, and when that was (Unix time in seconds).

        `None` before the first one, and when the connection is closed. libwebrtc counts anew after 50 ms, so the time
        may be past.
        """
        try:
            report = await self._transceiver.sender.get_stats()
        except webrtc.PythonWebRTCExceptionBase:
            return None
        for each in report.values():
            if isinstance(each, webrtc.RTCOutboundRtpStreamStats):
                sent, again = each.packets_sent or 0, each.retransmitted_packets_sent or 0
                return each.timestamp / 1000, sent - again
        return None


class RemoteMedia:
    """A remote track as it arrives in a section."""

    __slots__ = ("_chains", "_transceiver", "kind", "media_track", "mid")

    def __init__(self, transceiver: webrtc.RTCRtpTransceiver, chains: FrameChains) -> None:
        self._transceiver = transceiver
        self._chains = chains
        if (chain := chains.find(transceiver.receiver)) is not None:
            chain.clear()  # its steps were those of another track
        self.media_track: webrtc.MediaStreamTrack = transceiver.receiver.track
        self.kind: MediaKind = "audio" if self.media_track.kind == "audio" else "video"
        self.mid = transceiver.mid or ""

    @property
    def chain(self) -> FrameChain:
        """The steps that its encoded frames pass before they are decoded."""
        return self._chains.of_receiver(self._transceiver)

    def latest(self) -> tuple[float, int] | None:
        """Return when, on the monotonic clock, the newest media were handed over to be played, and their RTP timestamp.

        `None` before there were any, and once the connection is closed.
        """
        try:
            sources = self._transceiver.receiver.get_synchronization_sources()
        except webrtc.PythonWebRTCExceptionBase:
            return None
        if not sources:
            return None
        newest = max(sources, key=lambda source: source.timestamp)
        return newest.timestamp / 1000 - time.time() + time.monotonic(), newest.rtp_timestamp

    async def get_stats(self) -> list[dict[str, Any]]:
        """Return the W3C stats of the receiver."""
        return stats_dicts(await self._transceiver.receiver.get_stats())


def stats_dicts(report: webrtc.RTCStatsReport) -> list[dict[str, Any]]:
    """Return a stats report as dicts with the members and names of the W3C specification."""
    return [stats.to_json() for stats in report.values()]


def _parameters(encoding: Encoding) -> webrtc.RTCRtpEncodingParameters:
    parameters = webrtc.RTCRtpEncodingParameters(
        active=encoding.active,
        max_bitrate=encoding.max_bitrate,
        max_framerate=encoding.max_framerate,
        scale_resolution_down_by=encoding.scale_resolution_down_by,
        scalability_mode=encoding.scalability_mode,
    )
    if encoding.rid:
        parameters.rid = encoding.rid
    if encoding.priority is not None:
        parameters.priority = parameters.network_priority = webrtc.RTCPriorityType(encoding.priority)
    return parameters


def _prefer(transceiver: webrtc.RTCRtpTransceiver, kind: MediaKind, codec: str, *, h264: bool) -> None:
    """Put a codec first; the others stay, as do RTX and RED, which the chosen one needs."""
    capabilities = wrtc.RTCRtpSender.getCapabilities(kind)
    codecs = openh264.codecs_with_or_without(capabilities.codecs if capabilities is not None else [], h264=h264)
    chosen = [each for each in codecs if each.name.lower() == codec.lower()]
    if not chosen:
        raise CodecUnavailableError(f"libwebrtc cannot send {codec}")
    transceiver._native_obj.setCodecPreferences(chosen + [each for each in codecs if each not in chosen])
