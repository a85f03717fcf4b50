"""A peer connection: descriptions, candidates, channels and senders, without a word about LiveKit's signalling.

Local candidates and states go to a sink. Remote candidates that come before the description they belong to are held
until it is set (RFC 8838, section 3).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import webrtc

from ..core.encodings import Encoding
from ..core.flight import SILENT, FlightTap, plain_words
from ..errors import CodecUnavailableError, NegotiationError
from . import openh264, runtime
from .channel import ChannelSink, DataChannel, FastChannel
from .tracks import LocalSender, MediaKind, OutgoingTrack, RemoteMedia, stats_dicts
from .transforms import FrameChains
from .watch import StateWatch

__all__ = ["IceServerInit", "PeerConnection", "PeerSink", "PeerState"]

_logger = logging.getLogger("aiolivekit.peer")

PeerState = Literal["new", "connecting", "connected", "disconnected", "failed", "closed"]
IceServerInit = tuple[Sequence[str], str | None, str | None]
"""URLs, user name, password."""

_DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"


class PeerSink(ChannelSink, Protocol):
    """Who is told what happens on a peer connection, on the event loop that made it. None of these may raise."""

    def on_local_candidate(self, peer: PeerConnection, candidate: str) -> None:
        """A local candidate as the JSON of `RTCIceCandidateInit`."""

    def on_peer_state(self, peer: PeerConnection, state: PeerState) -> None:
        """ICE and DTLS together are in another state."""

    def on_remote_channel(self, peer: PeerConnection, channel: DataChannel) -> None:
        """The other side made a data channel."""


class _Connection(webrtc.RTCPeerConnection):
    """Makes the wrapper of a remote channel one of ours, so that its messages take the short way."""

    __slots__ = ()

    def _data_channel_event(self, channel: Any) -> webrtc.Event:
        # Held while the event is made: `wrtc` itself refers to wrappers weakly.
        wrapper = FastChannel._wrap(channel, connection=self)
        event = super()._data_channel_event(channel)
        assert event is not None
        del wrapper
        return event


class PeerConnection:
    """One `RTCPeerConnection` of a session.

    Args:
        name: For the log: publisher or subscriber.
        sink: Told of candidates, states and channels.
        flight: Where every change of state is written down.
        sealed: Whether media are neither sent nor received in the clear (see `FrameChains`).

    Raises:
        ForkError: In a child forked after libwebrtc's threads had started.
    """

    def __init__(self, name: str, sink: PeerSink, flight: FlightTap = SILENT, *, sealed: bool = False) -> None:
        runtime.check()
        self.name = name
        self._sink = sink
        self._pc = _Connection(webrtc.RTCConfiguration(bundle_policy=webrtc.RTCBundlePolicy.max_bundle))
        # A connection has the codecs there were when it was made; of others it says nothing, and sends VP8 instead.
        self._has_h264 = openh264.status().enabled
        self._held_candidates: list[webrtc.RTCIceCandidateInit] = []
        self._awaiting_restart = False
        self._closed = False
        self._chains = FrameChains(sealed=sealed)
        self.bad_candidates = 0
        self._pc.on("icecandidate", self._on_candidate)
        self._pc.on("connectionstatechange", self._on_state)
        self._pc.on("datachannel", self._on_channel)
        self._watch = StateWatch(name, self._pc, flight)

    # -- configuration --

    def configure(self, ice_servers: Sequence[IceServerInit], *, relay_only: bool = False) -> None:
        """Set the ICE servers; they count for candidates gathered from now on.

        Servers libwebrtc cannot parse are left out, and a line in the log says how many.
        """
        usable = [server for each in ice_servers if (server := _ice_server(each)) is not None]
        if len(usable) < len(ice_servers):
            _logger.warning("%s: %d ICE servers are not usable", self.name, len(ice_servers) - len(usable))
        policy = webrtc.RTCIceTransportPolicy.relay if relay_only else webrtc.RTCIceTransportPolicy.all
        self._pc.set_configuration(
            webrtc.RTCConfiguration(
                ice_servers=usable,
                ice_transport_policy=policy,
                bundle_policy=webrtc.RTCBundlePolicy.max_bundle,
            )
        )

    # -- descriptions --

    async def create_offer(self, *, ice_restart: bool = False) -> str:
        """Return a new offer; it does nothing until `set_local_offer`."""
        if ice_restart:
            self._awaiting_restart = True
        offer = await self._pc.create_offer(webrtc.RTCOfferOptions(ice_restart=ice_restart))
        return offer.sdp

    async def set_local_offer(self, sdp: str) -> None:
        """Make the offer ours, which starts gathering."""
        await self._pc.set_local_description(webrtc.RTCSessionDescriptionInit(webrtc.RTCSdpType.offer, sdp))

    async def set_answer(self, sdp: str) -> None:
        """Apply the other side's answer to our offer.

        Raises:
            NegotiationError: If libwebrtc cannot apply it.
        """
        await self._set_remote(webrtc.RTCSdpType.answer, sdp)

    async def set_offer(self, sdp: str) -> None:
        """Apply the other side's offer; `create_answer` and `set_local_answer` follow.

        Raises:
            NegotiationError: If libwebrtc cannot apply it.
        """
        await self._set_remote(webrtc.RTCSdpType.offer, sdp)

    async def create_answer(self) -> str:
        """Return an answer to the offer applied last."""
        return (await self._pc.create_answer()).sdp

    async def set_local_answer(self, sdp: str) -> None:
        """Make the answer ours."""
        await self._pc.set_local_description(webrtc.RTCSessionDescriptionInit(webrtc.RTCSdpType.answer, sdp))

    async def _set_remote(self, kind: webrtc.RTCSdpType, sdp: str) -> None:
        if kind is webrtc.RTCSdpType.answer:  # with it media may begin to arrive
            self._chains.seal(self._pc.get_transceivers())
        try:
            await self._pc.set_remote_description(webrtc.RTCSessionDescriptionInit(kind, sdp))
        except (webrtc.PythonWebRTCExceptionBase, ValueError, TypeError) as error:
            # libwebrtc quotes the line it stumbles over, which may hold an address or a password.
            words = plain_words(str(error))
            raise NegotiationError(f"the {self.name} could not apply the server's {kind.value}: {words}") from None
        self._chains.seal(self._pc.get_transceivers())
        self._awaiting_restart = False
        held, self._held_candidates = self._held_candidates, []
        if held:
            await asyncio.gather(*map(self._add, held))

    @property
    def has_local_offer(self) -> bool:
        """Whether an offer of ours waits for its answer."""
        return self._pc.signaling_state is webrtc.RTCSignalingState.have_local_offer

    @property
    def local_description(self) -> tuple[str, str] | None:
        """Type and SDP of our description in force or in progress."""
        description = self._pc.local_description
        return None if description is None else (description.type.value, description.sdp)

    @property
    def remote_description(self) -> tuple[str, str] | None:
        """Type and SDP of the other side's description in force or in progress."""
        description = self._pc.remote_description
        return None if description is None else (description.type.value, description.sdp)

    # -- candidates --

    async def add_remote_candidate(self, candidate_json: str) -> None:
        """Add a candidate of the other side (the JSON of `RTCIceCandidateInit`); a bad one is counted and dropped."""
        try:
            members = json.loads(candidate_json)
            candidate = webrtc.RTCIceCandidateInit(
                candidate=str(members.get("candidate") or ""),
                sdp_mid=members.get("sdpMid"),
                sdp_m_line_index=members.get("sdpMLineIndex"),
                username_fragment=members.get("usernameFragment"),
            )
        except (ValueError, TypeError, AttributeError):
            self.bad_candidates += 1
            return
        if self._pc.remote_description is None or self._awaiting_restart:
            self._held_candidates.append(candidate)
        else:
            await self._add(candidate)

    async def _add(self, candidate: webrtc.RTCIceCandidateInit) -> None:
        try:
            await self._pc.add_ice_candidate(candidate)
        except (webrtc.PythonWebRTCExceptionBase, ValueError, TypeError):
            self.bad_candidates += 1

    def _on_candidate(self, event: webrtc.RTCPeerConnectionIceEvent) -> None:
        candidate = event.candidate
        # LiveKit has no word for the end of candidates: its server cannot read an empty one.
        if candidate is not None and candidate.candidate:
            members = {
                "candidate": candidate.candidate,
                "sdpMid": candidate.sdp_mid,
                "sdpMLineIndex": candidate.sdp_m_line_index,
            }
            self._sink.on_local_candidate(self, json.dumps(members))

    # -- channels --

    def create_channel(
        self, label: str, *, ordered: bool, max_retransmits: int | None, low_threshold: int
    ) -> DataChannel:
        """Make a data channel; it opens after the next negotiation."""
        native = self._pc._native_obj.createDataChannel(
            label, ordered, None, max_retransmits, "", False, None, webrtc.RTCPriorityType.low
        )
        channel = DataChannel(FastChannel._wrap(native, connection=self._pc), self._sink)
        channel.low_threshold = low_threshold
        return channel

    def _on_channel(self, event: webrtc.RTCDataChannelEvent) -> None:
        channel = event.channel
        assert isinstance(channel, FastChannel)
        self._sink.on_remote_channel(self, DataChannel(channel, self._sink))

    # -- media --

    def receive(self, kind: MediaKind) -> None:
        """Add a section in which the other side can send us a track."""
        transceiver = self._pc.add_transceiver(
            kind, webrtc.RTCRtpTransceiverInit(direction=webrtc.RTCRtpTransceiverDirection.recvonly)
        )
        if kind == "video":
            _accept_layers(transceiver)

    def send(self, track: OutgoingTrack, encodings: Sequence[Encoding], *, codec: str | None = None) -> LocalSender:
        """Add a section in which we send a track, from the next negotiation on.

        Raises:
            CodecUnavailableError: If there is no such codec, or there was none when the connection was made.
            MediaError: If libwebrtc cannot send those encodings.
        """
        if codec == "H264" and not self._has_h264:
            raise CodecUnavailableError("H.264 is there since this room was joined; it can be sent after joining again")
        return LocalSender.add(self._pc, track, encodings, codec=codec, h264=self._has_h264, chains=self._chains)

    def remove(self, sender: LocalSender) -> None:
        """Stop sending a track; a sender of another connection, or one removed already, is ignored."""
        sender.remove_from(self._pc)

    def remote_media(self, mid: str) -> RemoteMedia | None:
        """Return the track that arrives in a section from now on, or `None` when there is no such section.

        The steps of the chain through which another track came there are gone.
        """
        for transceiver in self._pc.get_transceivers():
            if transceiver.mid == mid:
                return RemoteMedia(transceiver, self._chains)
        return None

    # -- state --

    @property
    def state(self) -> PeerState:
        """ICE and DTLS together."""
        return "closed" if self._closed else self._pc.connection_state.value

    def _on_state(self, _event: webrtc.Event) -> None:
        self._watch.changed()
        self._sink.on_peer_state(self, self.state)

    async def get_stats(self) -> list[dict[str, Any]]:
        """Return the W3C stats, one dict each, with the names of the specification."""
        return stats_dicts(await self._pc.get_stats())

    def close(self) -> None:
        """Close the connection, its channels and transceivers; nothing reaches the sink any more."""
        if not self._closed:
            self._closed = True
            self._watch.close()
            self._pc.off()
            self._pc.close()
            self._chains.close()


def _ice_server(init: IceServerInit) -> webrtc.RTCIceServer | None:
    urls, username, credential = init
    server = webrtc.RTCIceServer(urls=list(urls), username=username or None, credential=credential or None)
    try:
        # libwebrtc refuses the whole configuration for one bad server, so each is tried by itself
        webrtc.RTCConfiguration(ice_servers=[server])._to_native()
    except (webrtc.PythonWebRTCExceptionBase, ValueError, TypeError):
        return None
    return server


def _accept_layers(transceiver: webrtc.RTCRtpTransceiver) -> None:
    """Offer to receive the extension that says which layers a frame needs.

    Without it AV1 in layers arrives and is never decoded. libwebrtc leaves it out of its offers to receive.
    """
    extensions = transceiver.get_header_extensions_to_negotiate()
    for extension in extensions:
        if extension.uri == _DEPENDENCY_DESCRIPTOR:
            extension.direction = webrtc.RTCRtpTransceiverDirection.sendrecv
    transceiver.set_header_extensions_to_negotiate(extensions)
