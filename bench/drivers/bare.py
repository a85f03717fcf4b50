"""As little as it takes to be in a room with `wrtc`'s public API: the limit for what is built on it.

No errors, no reconnection, no backpressure beyond the channel's. It joins with its offer (one peer connection, no
section for media until the server asks for it), and serialises and parses LiveKit's packets, as whoever speaks the
protocol must.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import webrtc
from livekit.protocol import models, rtc

from .base import (
    AUDIO_BITRATE,
    LAYERS_BITRATE,
    LOWER_LAYERS,
    SAMPLE_RATE,
    VIDEO_BITRATE,
    VIDEO_FPS,
    VIDEO_HEIGHT,
    VIDEO_WIDTH,
    AudioFrames,
    VideoFrames,
)

__all__ = ["BareParticipant"]

_HIGH = 2 * 1024 * 1024
_LOW = _HIGH // 2


class BareParticipant:
    """A participant, by hand."""

    def __init__(self, *, layers: bool = False) -> None:
        self._layers = layers
        self.on_data: Callable[[bytes], None] = lambda _: None
        self.on_audio: Callable[[AudioFrames], None] = lambda _: None
        self.on_video: Callable[[VideoFrames], None] = lambda _: None
        self._sequence = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._published: dict[str, asyncio.Future[Any]] = {}
        self._answered: asyncio.Future[Any] | None = None
        self._negotiating = asyncio.Lock()
        self._early: list[Any] = []
        self._candidates: list[str] | None = []
        self._low = asyncio.Event()
        self._kept: list[Any] = []
        self._heard: set[str] = set()

    # -- joining ------------------------------------------------------------------------------------------------

    async def connect(self, url: str, token: str) -> None:
        self._open = asyncio.get_running_loop().create_future()
        self._pc = pc = webrtc.RTCPeerConnection(
            webrtc.RTCConfiguration(bundle_policy=webrtc.RTCBundlePolicy.max_bundle)
        )
        pc.on("icecandidate", self._on_candidate)
        pc.on("track", self._on_track)
        self._channel = pc.create_data_channel("_reliable")
        pc.create_data_channel("_lossy", webrtc.RTCDataChannelInit(ordered=False, max_retransmits=0))
        self._channel.buffered_amount_low_threshold = _LOW
        self._channel.once("open", lambda _: self._open.set_result(None))
        self._channel.on("message", self._on_message)
        self._channel.on("bufferedamountlow", lambda _: self._low.set())
        offer = await pc.create_offer()
        join = rtc.JoinRequest(
            client_info=models.ClientInfo(sdk=models.ClientInfo.PYTHON, protocol=17, version="0"),
            connection_settings=rtc.ConnectionSettings(auto_subscribe=True),
            publisher_offer=rtc.SessionDescription(type="offer", sdp=offer.sdp),
        )
        wrapped = rtc.WrappedJoinRequest(join_request=join.SerializeToString()).SerializeToString()
        query = base64.urlsafe_b64encode(wrapped).decode()
        self._session = aiohttp.ClientSession()
        self._ws = await self._session.ws_connect(
            f"{url}/rtc/v1?join_request={query}", headers={"Authorization": f"Bearer {token}"}
        )
        await pc.set_local_description(offer)
        self._spawn(self._read())
        await asyncio.wait_for(self._open, 20)

    async def _read(self) -> None:
        async for message in self._ws:
            response = rtc.SignalResponse.FromString(message.data)
            kind = response.WhichOneof("message")
            if kind == "join":
                self._spawn(self._ping(response.join.ping_interval or 5))
                gathered, self._candidates = self._candidates, None
                for each in gathered or ():
                    await self._trickle(each)
            elif kind == "answer":
                await self._pc.set_remote_description(
                    webrtc.RTCSessionDescriptionInit(webrtc.RTCSdpType.answer, response.answer.sdp)
                )
                early, self._early = self._early, []
                for each in early:
                    await self._pc.add_ice_candidate(each)
                if self._answered is not None:
                    self._answered.set_result(None)
            elif kind == "trickle" and response.trickle.candidateInit:
                members = json.loads(response.trickle.candidateInit)
                candidate = webrtc.RTCIceCandidateInit(
                    candidate=members.get("candidate", ""),
                    sdp_mid=members.get("sdpMid"),
                    sdp_m_line_index=members.get("sdpMLineIndex"),
                )
                if self._pc.remote_description is None:
                    self._early.append(candidate)
                else:
                    await self._pc.add_ice_candidate(candidate)
            elif kind == "media_sections_requirement":
                required = response.media_sections_requirement
                self._add_receivers(required.num_audios, required.num_videos)
                self._spawn(self._negotiate())
            elif kind == "track_published":
                self._published.pop(response.track_published.cid).set_result(None)

    async def _ping(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self._send(rtc.SignalRequest(ping_req=rtc.Ping()))

    async def _send(self, request: Any) -> None:
        await self._ws.send_bytes(request.SerializeToString())

    async def _negotiate(self, start_bitrate: int | None = None) -> None:
        async with self._negotiating:
            offer = await self._pc.create_offer()
            if start_bitrate is not None:
                # What the SDKs do for VP8, whose rate would climb for seconds otherwise.
                line = rf"\1\r\na=fmtp:\2 x-google-start-bitrate={start_bitrate // 1000}"
                offer.sdp = re.sub(r"(a=rtpmap:(\d+) VP8/90000)", line, offer.sdp)
            await self._pc.set_local_description(offer)
            self._answered = asyncio.get_running_loop().create_future()
            await self._send(rtc.SignalRequest(offer=rtc.SessionDescription(type="offer", sdp=offer.sdp)))
            await asyncio.wait_for(self._answered, 10)
            self._answered = None

    def _add_receivers(self, audios: int, videos: int) -> None:
        for kind in [webrtc.MediaType.audio] * audios + [webrtc.MediaType.video] * videos:
            self._pc.add_transceiver(kind, webrtc.RTCRtpTransceiverInit(direction="recvonly"))

    def _on_candidate(self, event: Any) -> None:
        if event.candidate is None or not event.candidate.candidate:
            return
        each = event.candidate
        text = json.dumps({"candidate": each.candidate, "sdpMid": each.sdp_mid, "sdpMLineIndex": each.sdp_m_line_index})
        if self._candidates is not None:
            self._candidates.append(text)
        else:
            self._spawn(self._trickle(text))

    async def _trickle(self, candidate: str) -> None:
        trickle = rtc.TrickleRequest(candidateInit=candidate, target=rtc.SignalTarget.PUBLISHER)
        await self._send(rtc.SignalRequest(trickle=trickle))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def publish_data_track(self, name: str) -> Callable[[bytes], None]:
        raise NotImplementedError("bare wrtc knows no frames")

    async def receive_data_track(self, name: str, buffer_size: int) -> AsyncIterator[bytes]:
        raise NotImplementedError("bare wrtc knows no frames")

    async def bytes_sent(self) -> int:
        report = await self._pc.get_stats()
        return sum(each.bytes_sent or 0 for each in report.values() if each.type == "outbound-rtp")

    async def simulate(self, scenario: str) -> None:
        raise NotImplementedError("bare wrtc does not reconnect")

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._send(rtc.SignalRequest(leave=rtc.LeaveRequest()))
        await self._ws.close()
        await self._session.close()
        self._pc.close()

    # -- data ---------------------------------------------------------------------------------------------------

    async def send(self, payload: bytes) -> None:
        self._sequence += 1
        packet = models.DataPacket(sequence=self._sequence, user=models.UserPacket(payload=payload))
        self._channel.send(packet.SerializeToString())
        if self._channel.buffered_amount > _HIGH:
            self._low.clear()
            await self._low.wait()

    def _on_message(self, event: Any) -> None:
        packet = models.DataPacket.FromString(event.data)
        if packet.WhichOneof("value") == "user":
            self.on_data(packet.user.payload)

    # -- media --------------------------------------------------------------------------------------------------

    async def publish_audio(self, name: str) -> _Audio:
        track = webrtc.MediaStreamTrackGenerator("audio")
        request = rtc.AddTrackRequest(
            name=name, type=models.TrackType.AUDIO, source=models.MICROPHONE, disable_dtx=True, disable_red=True
        )
        encoding = webrtc.RTCRtpEncodingParameters(max_bitrate=AUDIO_BITRATE)
        await self._publish(track, request, encoding)
        return _Audio(track)

    async def publish_video(self, name: str) -> _Video:
        track = webrtc.MediaStreamTrackGenerator("video")
        encodings = [(1, LAYERS_BITRATE if self._layers else VIDEO_BITRATE, VIDEO_FPS)]
        start_bitrate = 1_000_000
        if self._layers:
            encodings = [*LOWER_LAYERS, *encodings]
            start_bitrate = 1_500_000  # what all of them need at first, or the largest would come late
        request = rtc.AddTrackRequest(
            name=name, type=models.TrackType.VIDEO, source=models.CAMERA, width=VIDEO_WIDTH, height=VIDEO_HEIGHT
        )
        names = "qhf" if self._layers else "f"
        parameters = []
        for rid, (scale, bitrate, framerate) in zip(names, encodings, strict=True):
            quality = models.VideoQuality.Value({"q": "LOW", "h": "MEDIUM", "f": "HIGH"}[rid])
            request.layers.add(
                quality=quality, width=VIDEO_WIDTH // scale, height=VIDEO_HEIGHT // scale, bitrate=bitrate
            )
            encoding = webrtc.RTCRtpEncodingParameters(
                max_bitrate=bitrate, max_framerate=framerate, scale_resolution_down_by=scale
            )
            if self._layers:
                encoding.rid = rid
            parameters.append(encoding)
        await self._publish(track, request, *parameters, start_bitrate=start_bitrate)
        return _Video(track)

    async def _publish(self, track: Any, request: Any, *encodings: Any, start_bitrate: int | None = None) -> None:
        self._kept.append(track)
        request.cid = track.id
        published = asyncio.get_running_loop().create_future()
        self._published[track.id] = published
        await self._send(rtc.SignalRequest(add_track=request))
        await asyncio.wait_for(published, 10)
        init = webrtc.RTCRtpTransceiverInit(
            direction="sendonly", streams=[webrtc.MediaStream()], send_encodings=list(encodings)
        )
        transceiver = self._pc.add_transceiver(track, init)
        if track.kind == "video":
            able = webrtc.RTCRtpSender.get_capabilities("video")
            assert able is not None
            wanted = [codec for codec in able.codecs if codec.mime_type in ("video/VP8", "video/rtx")]
            transceiver.set_codec_preferences(wanted)
        await self._negotiate(start_bitrate)

    def _on_track(self, event: Any) -> None:
        # A section without a stream carries nothing yet; a negotiation announces the others again.
        if not event.streams or event.track.id in self._heard:
            return
        self._heard.add(event.track.id)
        init = webrtc.MediaStreamTrackProcessorInit(event.track, max_buffer_size=100)
        processor = webrtc.MediaStreamTrackProcessor(init)
        self._kept.append(processor)
        if event.track.kind == "audio":
            self.on_audio(_audio_frames(processor))
        else:
            self.on_video(_video_frames(processor))


class _Audio:
    def __init__(self, track: Any) -> None:
        self._writer = track.writable.get_writer()

    async def write(self, samples: bytes) -> None:
        init = webrtc.AudioDataInit("s16", SAMPLE_RATE, len(samples) // 2, 1, 0, samples)
        await self._writer.write(webrtc.AudioData(init))


class _Video:
    def __init__(self, track: Any) -> None:
        self._writer = track.writable.get_writer()

    async def write(self, i420: bytearray, timestamp_us: int) -> None:
        init = webrtc.VideoFrameBufferInit("I420", VIDEO_WIDTH, VIDEO_HEIGHT, timestamp_us)
        await self._writer.write(webrtc.VideoFrame(i420, init))


async def _audio_frames(processor: Any) -> AudioFrames:
    options = webrtc.AudioDataCopyToOptions(plane_index=0)
    async for data in processor.readable:
        buffer = bytearray(data.number_of_frames * data.number_of_channels * 2)
        data.copy_to(buffer, options)
        data.close()
        yield buffer


async def _video_frames(processor: Any) -> VideoFrames:
    async for frame in processor.readable:
        buffer = bytearray(frame.allocation_size())
        await frame.copy_to(buffer)
        size = frame.coded_width, frame.coded_height
        frame.close()
        yield *size, buffer
