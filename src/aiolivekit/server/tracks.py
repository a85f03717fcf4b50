"""Tracks that participants publish: their description, their incoming streams, and who gets them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from aiolivekit.server.codecs import canonical_mime
from aiolivekit.server.ids import new_id
from aiolivekit.server.layers import (
    OFF,
    choose_rid,
    order_rids,
    published_quality,
    rid_of_quality,
    spatial_layer,
    wanted_quality,
)
from aiolivekit.server.rtp.levels import AudioLevel
from aiolivekit.server.rtp.packet import AUDIO_LEVEL, Header, read_extensions
from aiolivekit.server.rtp.receiver import RtpReceiver
from aiolivekit.server.sdp import Codec

if TYPE_CHECKING:
    from aiolivekit.server.downlink import DownTrack
    from aiolivekit.server.participant import Participant

__all__ = ["PublishedTrack", "new_track_info"]

LAYER_TIMEOUT = 1.5
"""Seconds without a packet after which a simulcast layer counts as not being sent."""

MAX_STREAMS = 8
"""Incoming SSRCs kept for one track."""

_SOURCE_LETTERS = {
    models.TrackSource.CAMERA: "C",
    models.TrackSource.MICROPHONE: "M",
    models.TrackSource.SCREEN_SHARE: "S",
    models.TrackSource.SCREEN_SHARE_AUDIO: "s",
}
_SCALABLE = ("vp9", "av1")


def _stream_of(source: int) -> str:
    if source in (models.TrackSource.SCREEN_SHARE, models.TrackSource.SCREEN_SHARE_AUDIO):
        return "screen"
    return "camera" if source in (models.TrackSource.CAMERA, models.TrackSource.MICROPHONE) else "unknown"


def new_track_info(request: rtc.AddTrackRequest) -> models.TrackInfo:
    """Return the description of a track that a client announces, with a new sid."""
    video = request.type == models.TrackType.VIDEO
    layers = sorted(request.layers, key=lambda layer: layer.quality)
    info = models.TrackInfo(
        sid=new_id("TR_" + ("V" if video else "A") + _SOURCE_LETTERS.get(request.source, "")),
        type=request.type,
        name=request.name,
        muted=request.muted,
        width=request.width,
        height=request.height,
        disable_dtx=request.disable_dtx,
        source=request.source,
        layers=layers,
        stereo=request.stereo,
        disable_red=request.disable_red,
        encryption=request.encryption,
        stream=request.stream or _stream_of(request.source),
        audio_features=dict.fromkeys(request.audio_features),
        packet_trailer_features=dict.fromkeys(request.packet_trailer_features),
        backup_codec_policy=request.backup_codec_policy if video else models.BackupCodecPolicy.SIMULCAST,
    )
    for wanted, feature in (
        (request.stereo, models.AudioTrackFeature.TF_STEREO),
        (request.disable_dtx, models.AudioTrackFeature.TF_NO_DTX),
    ):
        if wanted and feature not in info.audio_features:
            info.audio_features.append(feature)
    _add_codecs(info, request, layers)
    return info


def _add_codecs(info: models.TrackInfo, request: rtc.AddTrackRequest, layers: list[models.VideoLayer]) -> None:
    modes = models.VideoLayer.Mode
    kind = "video" if request.type == models.TrackType.VIDEO else "audio"
    if not request.simulcast_codecs:
        info.codecs.add(cid=request.cid, layers=layers, video_layer_mode=modes.ONE_SPATIAL_LAYER_PER_STREAM)
        return
    seen = set()
    for codec in request.simulcast_codecs:
        mime = codec.codec.lower()
        if "/" not in mime:
            mime = f"{kind}/{mime}"
        if mime in seen:
            continue
        seen.add(mime)
        mode = codec.video_layer_mode
        if kind == "video" and mode == modes.MODE_UNUSED:
            scalable = mime.partition("/")[2] in _SCALABLE
            mode = modes.MULTIPLE_SPATIAL_LAYERS_PER_STREAM if scalable else modes.ONE_SPATIAL_LAYER_PER_STREAM
        own_layers = sorted(codec.layers, key=lambda layer: layer.quality) or layers
        info.codecs.add(mime_type=mime, cid=codec.cid, layers=own_layers, video_layer_mode=mode)
        if len(seen) == 1 and mode != modes.MULTIPLE_SPATIAL_LAYERS_PER_STREAM and len(own_layers) > 1:
            info.simulcast = True


class PublishedTrack:
    """A track as the server forwards it.

    Args:
        publisher: Who sends it.
        info: Its description.
        cid: The client's id of it.
        mid: The section it is sent in.
        codecs: What the client may send in it.
        rids: Its simulcast layers in the client's order.
        extension_ids: Header extension ids by URI.
    """

    def __init__(
        self,
        publisher: Participant,
        info: models.TrackInfo,
        cid: str,
        mid: str,
        codecs: list[Codec],
        rids: list[str],
        extension_ids: dict[str, int],
    ) -> None:
        self.publisher = publisher
        self.info = info
        self.cid = cid
        self.mid = mid
        self.kind = "video" if info.type == models.TrackType.VIDEO else "audio"
        self.codecs = codecs
        self.rids = order_rids(rids)
        self.extension_ids = extension_ids
        self.receivers: dict[int, RtpReceiver] = {}
        self.down: list[DownTrack] = []
        self.level = AudioLevel(48000) if self.kind == "audio" else None
        self.packets = 0
        self.announced_quality = OFF
        self.quality_told = False
        self.ever_subscribed = False
        self._codec_of = {codec.payload_type: codec for codec in codecs}
        self._level_id = extension_ids.get(AUDIO_LEVEL)
        self._layer_check = 0.0
        self._replaced_octets = 0
        self._describe()

    @property
    def sid(self) -> str:
        """The track's sid."""
        return self.info.sid

    @property
    def octets(self) -> int:
        """Bytes received of it, RTP headers included, in all layers."""
        return self._replaced_octets + sum(receiver.octets for receiver in self.receivers.values())

    @property
    def muted(self) -> bool:
        """Whether the publisher muted it."""
        return self.info.muted

    def _describe(self) -> None:
        mime = canonical_mime(self.kind, self.codecs[0].name) if self.codecs else ""
        self.info.mime_type = mime
        self.info.mid = self.mid
        if not self.info.version.unix_micro:
            self.info.version.unix_micro = int(time.time() * 1e6)
        primary = self.info.codecs[0] if self.info.codecs else self.info.codecs.add(cid=self.cid)
        primary.mime_type = mime
        primary.mid = self.mid
        for layers in (self.info.layers, primary.layers):
            for layer in layers:
                layer.spatial_layer = spatial_layer(layer.quality, layers)
                if self.rids:
                    layer.rid = rid_of_quality(layer.quality, self.rids)

    def codec_of(self, payload_type: int) -> Codec | None:
        """Return the codec of a payload type."""
        return self._codec_of.get(payload_type)

    def add_receiver(self, ssrc: int, rid: str, payload_type: int) -> RtpReceiver | None:
        """Take a new incoming stream; `None` when it has no business here."""
        codec = self._codec_of.get(payload_type)
        if codec is None or len(self.receivers) >= MAX_STREAMS or (self.rids and rid not in self.rids):
            return None
        # A layer that comes with a new SSRC replaces the old stream of that layer.
        for old in [r for r in self.receivers.values() if r.rid == rid and r.ssrc != ssrc]:
            self._replaced_octets += old.octets
            del self.receivers[old.ssrc]
        receiver = RtpReceiver(ssrc, codec.clock_rate, rid, nack="nack" in codec.feedback)
        self.receivers[ssrc] = receiver
        for layers in (self.info.layers, self.info.codecs[0].layers):
            for layer in layers:
                if not self.rids or layer.rid == rid:
                    layer.ssrc = ssrc
        for down in self.down:
            self.steer(down)
        return receiver

    def forward(self, receiver: RtpReceiver, extended: int, header: Header, data: bytes, arrival: float) -> None:
        """Send a packet on to everyone it is for."""
        self.packets += 1
        if self._level_id is not None and self.level is not None and header.profile:
            value = read_extensions(data, header).get(self._level_id)
            if value:
                self.level.observe(value[0] & 0x7F, header.timestamp, arrival)
        for down in self.down:
            down.forward(receiver, extended, header, data, arrival)
        if self.rids and arrival - self._layer_check > LAYER_TIMEOUT / 3:
            self._layer_check = arrival
            for down in self.down:
                self.steer(down)

    def steer(self, down: DownTrack) -> None:
        """Choose the stream a subscriber gets, and ask for a key frame where it takes one to begin."""
        if down.paused:
            down.sender.choose(None)
            return
        target = self._target(down)
        if target is None:
            return
        if down.sender.choose(target):
            target.request_key_frame()

    def _target(self, down: DownTrack) -> RtpReceiver | None:
        if not self.rids:
            return next(reversed(self.receivers.values()), None)
        now = time.monotonic()
        live = {r.rid: r for r in self.receivers.values() if now - r.last_arrival < LAYER_TIMEOUT}
        wanted = rid_of_quality(wanted_quality(down.settings, self.info.layers), self.rids)
        rid = choose_rid(wanted, self.rids, live)
        return live.get(rid) if rid is not None else None

    def request_key_frame(self, receiver: RtpReceiver | None = None) -> None:
        """Ask the publisher for a key frame, of one stream or of all that somebody waits for."""
        if receiver is not None:
            receiver.request_key_frame()
            return
        for down in self.down:
            if down.sender.target is not None:
                down.sender.target.request_key_frame()

    def highest_wanted(self) -> int:
        """Return the highest quality that a subscriber asks for; `OFF` for none.

        It is the quality of a layer that is published, which may be lower than what was asked for.
        """
        wanted = [q for down in self.down if (q := wanted_quality(down.settings, self.info.layers)) != OFF]
        return published_quality(max(wanted), self.info.layers) if wanted else OFF
