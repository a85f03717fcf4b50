"""A program written against the official SDK's types; nothing runs it, type checkers read it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from livekit import api, rtc
from livekit.rtc.participant import PublishTrackError
from livekit.rtc.utils import combine_audio_frames, sine_wave_generator

RATE = 48_000
log = logging.getLogger(__name__)
KINDS: dict[rtc.TrackKind.ValueType, str] = {rtc.TrackKind.KIND_AUDIO: "sound", rtc.TrackKind.KIND_VIDEO: "picture"}


def token(identity: str) -> str:
    grants = api.VideoGrants(room_join=True, room="types")
    return api.AccessToken("key", "secret").with_identity(identity).with_grants(grants).to_jwt()


class Gain(rtc.FrameProcessor[rtc.AudioFrame]):
    def __init__(self, gain: float) -> None:
        self._gain = gain
        self._on = True

    @property
    def enabled(self) -> bool:
        return self._on

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._on = value

    def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
        samples = [max(-32768, min(32767, int(each * self._gain))) for each in frame.data]
        data = b"".join(each.to_bytes(2, "little", signed=True) for each in samples)
        return rtc.AudioFrame(data, frame.sample_rate, frame.num_channels, frame.samples_per_channel)

    def _close(self) -> None:
        self._on = False


class Client:
    def __init__(self, source: rtc.TrackSource.ValueType) -> None:
        self.room = rtc.Room()
        self.source = source
        self.mixer = rtc.AudioMixer(RATE, 1)
        self.tasks: set[asyncio.Task[None]] = set()
        self.track: rtc.RemoteAudioTrack | None = None

        @self.room.on("participant_connected")
        def on_participant(participant: rtc.RemoteParticipant) -> None:
            kind: rtc.ParticipantKind.ValueType = participant.kind
            if kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
                log.info("%s: %s", participant.identity, rtc.ParticipantKind.Name(kind))

        self.room.on("track_subscribed", self.on_track)
        self.room.on("data_received", self.on_data)
        self.room.once("disconnected", lambda reason: log.info("%s", rtc.DisconnectReason.Name(reason)))

    def on_track(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        log.info("%s of %s: %s", KINDS[track.kind], participant.identity, publication.sid)
        if isinstance(track, rtc.RemoteAudioTrack):
            self.track = track
            self.start(self.hear(track))
        elif isinstance(track, rtc.RemoteVideoTrack):
            publication.set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_LOW)
            self.start(self.see(track))

    def on_data(self, packet: rtc.DataPacket) -> None:
        sender: str | None = packet.participant.identity if packet.participant is not None else None
        reliable = packet.kind == rtc.DataPacketKind.KIND_RELIABLE
        log.info("%s from %s (%s): %r", packet.topic, sender, reliable, packet.data.decode())

    def start(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def hear(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=24_000, num_channels=1, noise_cancellation=Gain(0.5))
        resampler = rtc.AudioResampler(24_000, RATE, quality=rtc.AudioResamplerQuality.HIGH)
        frames: list[rtc.AudioFrame] = []
        async for event in stream:
            frame: rtc.AudioFrame = event.frame
            frames += resampler.push(frame)
        frames += resampler.flush()
        whole = combine_audio_frames(frames)
        log.info("%.1f s, %d bytes", whole.duration, len(whole.to_wav_bytes()))
        await stream.aclose()

    async def see(self, track: rtc.Track) -> None:
        stream = rtc.VideoStream.from_track(track=track, format=rtc.VideoBufferType.RGBA)
        async for event in stream:
            picture = event.frame.convert(rtc.VideoBufferType.I420)
            plane = picture.get_plane(0)
            assert plane is not None
            metadata: rtc.FrameMetadata | None = event.metadata
            if metadata is not None and metadata.HasField("frame_id"):
                log.info("%d", metadata.frame_id)
            log.info("%dx%d at %d", picture.width, picture.height, event.timestamp_us)
        await stream.aclose()

    async def join(self, url: str) -> None:
        ice = rtc.IceServer(urls=["stun:stun.example.org"])
        options = rtc.RoomOptions(
            auto_subscribe=True,
            dynacast=True,
            rtc_config=rtc.RtcConfiguration(
                ice_transport_type=rtc.IceTransportType.TRANSPORT_ALL,
                continual_gathering_policy=rtc.ContinualGatheringPolicy.GATHER_ONCE,
                ice_servers=[ice],
            ),
        )
        try:
            await self.room.connect(url, token("me"), options=options)
        except rtc.ConnectError as error:
            log.error("%s", error)
            raise
        state: rtc.ConnectionState.ValueType = self.room.connection_state
        log.info("%s %s %s", await self.room.sid, self.room.name, rtc.ConnectionState.Name(state))
        for identity, participant in self.room.remote_participants.items():
            for sid, publication in participant.track_publications.items():
                log.info("%s %s %s %s", identity, sid, publication.mime_type, publication.subscribed)

    async def publish(self) -> rtc.LocalTrackPublication | None:
        source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=self.source, dtx=False)
        options.audio_encoding.max_bitrate = 64_000
        try:
            publication = await self.room.local_participant.publish_track(track, options)
        except PublishTrackError as error:
            log.error("%s", error.message)
            return None
        await publication.wait_for_subscription()
        async for frame in silence(3):
            await source.capture_frame(frame)
        await source.wait_for_playout()
        camera = rtc.VideoSource(640, 480)
        video = rtc.LocalVideoTrack.create_video_track("camera", camera)
        await self.room.local_participant.publish_track(
            video,
            rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_CAMERA,
                simulcast=True,
                video_codec=rtc.VideoCodec.VP8,
                video_encoding=rtc.VideoEncoding(max_bitrate=1_000_000, max_framerate=30),
            ),
        )
        picture = rtc.VideoFrame(640, 480, rtc.VideoBufferType.RGBA, bytearray(640 * 480 * 4))
        camera.capture_frame(picture, rotation=rtc.VideoRotation.VIDEO_ROTATION_90)
        track.mute()
        for stat in await track.get_stats():
            if stat.WhichOneof("stats") == "outbound_rtp":
                log.info("%d", stat.outbound_rtp.sent.bytes_sent)
        return publication

    async def talk(self) -> None:
        me = self.room.local_participant

        async def greet(data: rtc.RpcInvocationData) -> str:
            if not data.payload:
                raise rtc.RpcError(1, "nobody to greet")
            return f"hello {data.payload} from {data.caller_identity}"

        me.register_rpc_method("greet", greet)
        await me.publish_data(b"hello", topic="chat", destination_identities=["you"])
        await me.set_attributes({"mood": "good"})
        me.set_track_subscription_permissions(
            allow_all_participants=False,
            participant_permissions=[rtc.ParticipantTrackPermission(participant_identity="you", allow_all=True)],
        )
        answer: str = await me.perform_rpc(destination_identity="you", method="greet", payload="me")
        writer = await me.stream_text(topic="notes", attributes={"language": "en"})
        await writer.write(answer)
        await writer.aclose()
        info: rtc.ByteStreamInfo = await me.send_file("picture.png", topic="files")
        log.info("%s %s", info.name, info.size)

        def on_text(reader: rtc.TextStreamReader, identity: str) -> None:
            async def read() -> None:
                log.info("%s: %s", identity, await reader.read_all())

            self.start(read())

        self.room.register_text_stream_handler("notes", on_text)
        transcription = rtc.Transcription(
            participant_identity="me",
            track_sid="TR_1",
            segments=[rtc.TranscriptionSegment(id="1", text="hi", start_time=0, end_time=1, language="en", final=True)],
        )
        await me.publish_transcription(transcription)
        data_track = await me.publish_data_track(name="positions")
        data_track.try_push(rtc.DataTrackFrame(payload=b"1,2,3"))

    async def leave(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        await self.mixer.aclose()
        await self.room.disconnect()


async def silence(seconds: float) -> AsyncIterator[rtc.AudioFrame]:
    for _ in range(int(seconds * 100)):
        yield rtc.AudioFrame.create(RATE, 1, RATE // 100)


async def hum(source: rtc.AudioSource) -> None:
    async for frame in sine_wave_generator(440, 1.0, RATE):
        await source.capture_frame(frame)


async def main() -> None:
    client = Client(rtc.TrackSource.SOURCE_MICROPHONE)
    await client.join("ws://localhost:7880")
    publication = await client.publish()
    if publication is not None:
        log.info("%s: %s", rtc.TrackSource.Name(publication.source), publication.sid)
    await client.talk()
    await client.leave()


if __name__ == "__main__":
    asyncio.run(main())
