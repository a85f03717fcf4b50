"""Films and sounds with the clients in Python, ours and the official one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import media
from .films import Film, Frame, Projector, read_frame
from .sdk_client import SdkClient
from .sounds import Sound
from .studio import Sent, Studio

BEGINNING = media.RATE // 5
"""Samples in which codec and jitter buffer still find their level."""


@dataclass
class _Shot:
    """A source with what feeds it, and the track it is published as."""

    source: Any
    track: Any
    options: Any
    shown: int = 0
    quiet: bool = False


class SdkStudio(Studio[SdkClient]):
    """Films and sounds of an `SdkClient`."""

    def __init__(self, client: SdkClient) -> None:
        super().__init__(client)
        self._rtc: Any = client._rtc
        self._shots: dict[str, _Shot] = {}
        self._frames: dict[str, list[Frame]] = {}
        self._watched: dict[str, Any] = {}

    # -- publishing --

    async def publish_film(self, film: Film, *, codec: str, layers: bool = False, screen: bool = False) -> str:
        rtc = self._rtc
        shot = self._film(film, screen=screen)
        shot.options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_SCREENSHARE if screen else rtc.TrackSource.SOURCE_CAMERA,
            simulcast=layers,
            video_codec=rtc.VideoCodec.Value(codec),
            # A busy machine is to cost pictures, not their size.
            degradation_preference=rtc.DegradationPreference.MAINTAIN_RESOLUTION,
        )
        return await self._publish(shot)

    async def publish_sound(self, sound: Sound, *, dtx: bool = False, red: bool = False) -> str:
        rtc = self._rtc
        shot = self._sound(sound)
        shot.options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=dtx, red=red)
        return await self._publish(shot)

    async def republish(self, sid: str) -> str:
        shot = self._shots.pop(sid)
        await self.client.unpublish(sid)
        return await self._publish(shot)

    async def replace(self, sid: str, new: Film | Sound) -> None:
        shot = self._film(new) if isinstance(new, Film) else self._sound(new)
        shot.options = self._shots[sid].options
        await self.client._local(sid).replace_track(shot.track)
        self._shots[sid] = shot

    async def quieten(self, sid: str, quiet: bool) -> None:
        self._shots[sid].quiet = quiet

    async def shown(self, sid: str) -> int:
        return self._shots[sid].shown

    async def _publish(self, shot: _Shot) -> str:
        publication = await self.client._publish(shot.track, shot.options)
        self._shots[publication.sid] = shot
        return str(publication.sid)

    def _film(self, film: Film, *, screen: bool = False) -> _Shot:
        rtc = self._rtc
        width, height = film.size
        source = rtc.VideoSource(width, height, is_screencast=screen)
        self.client._sources.append(source)
        shot = _Shot(source, rtc.LocalVideoTrack.create_video_track("screen" if screen else "camera", source), None)
        projector = Projector(film)

        async def show() -> None:
            while True:
                shot.shown += 1
                data = projector.picture(shot.shown)
                source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, data))
                # One that is late is not made up for: encoders drop pictures that come in bursts.
                await asyncio.sleep(1 / film.fps)

        self.client._background(show())
        return shot

    def _sound(self, sound: Sound) -> _Shot:
        rtc = self._rtc
        # Little is queued, so that silence comes soon after it was asked for.
        source = rtc.AudioSource(media.RATE, sound.channels, 100)
        self.client._sources.append(source)
        shot = _Shot(source, rtc.LocalAudioTrack.create_audio_track("microphone", source), None)
        silence = bytes(media.FRAME * sound.channels * 2)

        async def play() -> None:
            while True:
                data = silence if shot.quiet else sound.samples(shot.shown * media.FRAME)
                shot.shown += 1
                await source.capture_frame(rtc.AudioFrame(data, media.RATE, sound.channels, media.FRAME))

        self.client._background(play())
        return shot

    async def sent(self, sid: str) -> list[Sent]:
        stats = await self.client._local(sid).track.get_stats()
        codecs = {each.codec.rtc.id: each.codec.codec.mime_type for each in stats if _has(each, "codec")}
        found = []
        for each in stats:
            if not _has(each, "outbound_rtp"):
                continue
            record = each.outbound_rtp
            outbound = record.outbound
            found.append(
                Sent(
                    rid=outbound.rid,
                    active=outbound.active,
                    size=(outbound.frame_width, outbound.frame_height),
                    frames=outbound.frames_sent,
                    packets=record.sent.packets_sent,
                    mode=outbound.scalability_mode,
                    codec=codecs.get(record.stream.codec_id, ""),
                )
            )
        return found

    # -- receiving --

    async def mime(self, sid: str) -> str:
        return str(self.client._remote(sid).mime_type).lower()

    async def watch(self, sid: str) -> None:
        track = self.client._remote(sid).track
        assert track is not None, f"{self.identity} has not subscribed to {sid}"
        if self._watched.get(sid) is not track:
            self._watched[sid] = track
            self.client._background(self._record(track, self._frames.setdefault(sid, [])))

    async def _record(self, track: Any, frames: list[Frame]) -> None:
        rtc = self._rtc
        stream = rtc.VideoStream(track, format=rtc.VideoBufferType.I420)
        try:
            async for event in stream:
                frame = event.frame
                frames.append(read_frame(frame.data, frame.width, frame.height))
        finally:
            await stream.aclose()

    async def frames(self, sid: str, since: int = 0) -> list[Frame]:
        return self._frames.get(sid, [])[since:]

    async def listen(self, sid: str, seconds: float, channels: int, *, sounding: bool = True) -> np.ndarray:
        stream = self._rtc.AudioStream(self.client._remote(sid).track, num_channels=channels)
        heard: list[np.ndarray] = []
        total, wanted = 0, BEGINNING + int(seconds * media.RATE)
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, np.int16).reshape(-1, channels)
                if sounding and not heard and media.loudness(samples) < media.LOUDNESS_OF_SILENCE:
                    continue
                heard.append(samples)
                total += len(samples)
                if total >= wanted:
                    break
        finally:
            await stream.aclose()
        assert total >= wanted, f"the track {sid} ended after {total} samples"
        return np.concatenate(heard)[BEGINNING:wanted]


def _has(record: Any, name: str) -> bool:
    # The official SDK's are protobuf messages, whose members are never missing.
    with suppress(AttributeError, ValueError):
        return bool(record.HasField(name))
    return getattr(record, name, None) is not None
