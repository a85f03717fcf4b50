"""The clients in Python: ours and the official SDK, whose names are the same."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

import aiolivekit

from . import media
from .client import (
    FPS,
    FRAME_INTERVAL,
    LAYERED_FPS,
    Client,
    Colour,
    JoinRefusedError,
    Picture,
    Quality,
    RefusedError,
    RpcFailedError,
    Scenario,
    Seen,
    StreamRefusedError,
    Tone,
    repeated,
)
from .events import DEADLINE
from .view import View

WINDOW = media.RATE // 3
"""Samples a tone is read from."""

BEGINNING = media.RATE // 3
"""Samples before that, in which codec and jitter buffer still find their level."""


class SdkClient(Client):
    """A room of one of the two SDKs.

    Args:
        rtc: The module with the public names.
        kind: `ours` or `official`.
        identity: As in the token.
    """

    def __init__(self, rtc: ModuleType, kind: str, identity: str) -> None:
        super().__init__(identity)
        self.kind = kind
        self._rtc: Any = rtc
        self.room: Any = rtc.Room()
        ours = rtc is aiolivekit
        self._refusals = (aiolivekit.RequestError,) if ours else (rtc.participant.PublishTrackError,)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sources: list[Any] = []
        self._views: dict[int, View] = {}
        self.writers: dict[str, Any] = {}
        self._data_tracks: dict[str, Any] = {}
        self._remote_data_tracks: dict[str, Any] = {}
        self._data_streams: dict[str, Any] = {}
        self._listen()

    # -- events --

    def _listen(self) -> None:
        add = self.events.add

        def on(name: str, details: Callable[..., Mapping[str, Any]]) -> None:
            # The official emitter counts the parameters of a handler, so each has to take what comes.
            def handle(*arguments: Any) -> None:
                add(name, **details(*arguments))

            self.room.on(name, handle)

        def who(participant: Any) -> dict[str, Any]:
            return {"identity": participant.identity, "sid": participant.sid}

        def which(publication: Any, participant: Any) -> dict[str, Any]:
            return {"identity": participant.identity, "sid": publication.sid}

        on("participant_connected", who)
        on("participant_disconnected", who)
        on("track_published", lambda pub, p: {**which(pub, p), **self._describe_track(pub)})
        on("track_unpublished", which)
        on("track_subscribed", lambda track, pub, p: {**which(pub, p), **self._describe_track(pub)})
        on("track_unsubscribed", lambda track, pub, p: which(pub, p))
        on("track_subscription_failed", lambda p, sid, error: {"identity": p.identity, "sid": sid})
        on("track_muted", lambda p, pub: which(pub, p))
        on("track_unmuted", lambda p, pub: which(pub, p))
        on("local_track_published", lambda pub, track: {"sid": pub.sid})
        on("local_track_unpublished", lambda pub: {"sid": pub.sid})
        on("local_track_subscribed", lambda track: {"sid": track.sid})
        on("active_speakers_changed", lambda speakers: {"identities": [p.identity for p in speakers]})
        on("room_metadata_changed", lambda old, new: {"metadata": new})
        on("participant_metadata_changed", lambda p, old, new: {"identity": p.identity, "metadata": new})
        on("participant_name_changed", lambda p, old, new: {"identity": p.identity, "display": new})
        on("participant_attributes_changed", lambda changed, p: {"identity": p.identity, "changed": dict(changed)})
        on(
            "participant_permissions_changed",
            lambda p, granted: {
                "identity": p.identity,
                **{name: getattr(granted, name) for name in ("can_publish", "can_subscribe", "can_publish_data")},
            },
        )
        on("connection_quality_changed", lambda p, quality: {"identity": p.identity, "quality": quality})
        on("data_received", self._describe_packet)
        on("data_track_published", self._describe_data_track)
        on("data_track_unpublished", lambda sid: {"sid": sid})
        if self._rtc is aiolivekit:
            on("chat_message_received", lambda message, p: {"identity": p.identity, "text": message.message})
        on(
            "sip_dtmf_received",
            lambda key: {"identity": _identity(key.participant), "code": key.code, "digit": key.digit},
        )
        on("transcription_received", self._describe_transcription)
        on("reconnecting", dict)
        on("reconnected", dict)
        reasons = self._rtc.DisconnectReason
        on("disconnected", lambda reason: {"reason": reasons.Name(reason) if reason is not None else "none"})

    def _describe_track(self, publication: Any) -> dict[str, Any]:
        rtc = self._rtc
        source = rtc.TrackSource.Name(publication.source).removeprefix("SOURCE_").lower()
        kind = "video" if publication.kind == rtc.TrackKind.KIND_VIDEO else "audio"
        return {
            "kind": kind,
            "source": source,
            "track_name": publication.name,
            "simulcasted": bool(publication.simulcasted),
        }

    def _describe_packet(self, packet: Any) -> dict[str, Any]:
        return {
            "identity": _identity(packet.participant),
            "data": bytes(packet.data),
            "topic": packet.topic or "",
            "reliable": packet.kind == self._rtc.DataPacketKind.KIND_RELIABLE,
        }

    def _describe_transcription(self, segments: Any, participant: Any, publication: Any) -> dict[str, Any]:
        return {
            "identity": _identity(participant),
            "sid": None if publication is None else publication.sid,
            "segments": [[each.id, each.text, each.language, each.final] for each in segments],
        }

    def _describe_data_track(self, track: Any) -> dict[str, Any]:
        self._remote_data_tracks[track.info.sid] = track
        return {"identity": track.publisher_identity, "sid": track.info.sid, "track_name": track.info.name}

    # -- the room --

    async def join(
        self, url: str, token: str, *, single: bool, auto_subscribe: bool = True, dynacast: bool = False
    ) -> None:
        options = self._rtc.RoomOptions(single_peer_connection=single, auto_subscribe=auto_subscribe, dynacast=dynacast)
        refusal = aiolivekit.ConnectError if self._rtc is aiolivekit else self._rtc.ConnectError
        try:
            await self.room.connect(url, token, options)
        except refusal as error:
            raise JoinRefusedError(str(error)) from error

    async def leave(self) -> None:
        await self.room.disconnect()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for source in self._sources:
            await source.aclose()
        if self.room.isconnected():
            await self.room.disconnect()

    async def peer_connections(self) -> int | None:
        if self._rtc is aiolivekit:
            return 1 if self.room.single_peer_connection else 2
        # The official SDK does not say; its statistics of the subscribing connection are empty when there is none.
        stats = await self.room.get_rtc_stats()
        return 1 + bool(len(stats.subscriber_stats))

    async def me(self) -> Seen:
        return _describe(self.room.local_participant)

    async def others(self) -> dict[str, Seen]:
        return {identity: _describe(participant) for identity, participant in self.room.remote_participants.items()}

    async def room_metadata(self) -> str:
        return str(self.room.metadata or "")

    async def simulate(self, scenario: Scenario) -> None:
        kinds = self._rtc.SimulateScenarioKind
        names = {"resume": kinds.SIMULATE_SIGNAL_RECONNECT, "restart": kinds.SIMULATE_FULL_RECONNECT}
        await self.room.simulate_scenario(names[scenario])

    # -- media --

    def _background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def publish_tone(self, frequency: float) -> str:
        rtc = self._rtc
        source = rtc.AudioSource(media.RATE, 1)
        self._sources.append(source)

        async def play() -> None:
            position = 0
            while True:
                data = media.tone(frequency, position)
                position += media.FRAME
                await source.capture_frame(rtc.AudioFrame(data, media.RATE, 1, media.FRAME))

        self._background(play())
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self._publish(track, options)
        return str(publication.sid)

    async def _publish(self, track: Any, options: Any) -> Any:
        try:
            return await self.room.local_participant.publish_track(track, options)
        except self._refusals as error:
            raise RefusedError(str(error)) from error

    async def publish_picture(
        self, colour: Colour, size: tuple[int, int] = (320, 180), *, simulcast: bool = False
    ) -> str:
        rtc = self._rtc
        width, height = size
        source = rtc.VideoSource(width, height)
        self._sources.append(source)
        camera = media.Camera(colour, width, height)
        fps = LAYERED_FPS if simulcast else FPS

        async def show() -> None:
            position = 0
            while True:
                position += 1
                data = camera.picture(position)
                source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, data))
                await asyncio.sleep(1 / fps)

        self._background(show())
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=simulcast)
        publication = await self._publish(track, options)
        return str(publication.sid)

    def _local(self, sid: str) -> Any:
        return self.room.local_participant.track_publications[sid]

    def _remote(self, sid: str) -> Any:
        for participant in self.room.remote_participants.values():
            if sid in participant.track_publications:
                return participant.track_publications[sid]
        raise AssertionError(f"{self.identity} knows no remote track {sid}")

    async def unpublish(self, sid: str) -> None:
        await self.room.local_participant.unpublish_track(sid)

    async def set_muted(self, sid: str, muted: bool) -> None:
        track = self._local(sid).track
        if muted:
            track.mute()
        else:
            track.unmute()

    async def subscribe(self, sid: str, subscribed: bool = True) -> None:
        self._remote(sid).set_subscribed(subscribed)

    async def set_quality(self, sid: str, quality: Quality) -> None:
        qualities = self._rtc.VideoQuality
        self._remote(sid).set_video_quality(qualities.Value(f"VIDEO_QUALITY_{quality.upper()}"))

    async def allow_subscribers(self, *, everybody: bool, identities: Sequence[str] = ()) -> None:
        permission = self._rtc.ParticipantTrackPermission
        self.room.local_participant.set_track_subscription_permissions(
            allow_all_participants=everybody,
            participant_permissions=[permission(participant_identity=each, allow_all=True) for each in identities],
        )

    async def hear(self, sid: str) -> Tone:
        stream = self._rtc.AudioStream(self._remote(sid).track)
        heard: list[np.ndarray] = []
        total = 0
        try:
            async with asyncio.timeout(DEADLINE):
                async for event in stream:
                    samples = np.frombuffer(event.frame.data, np.int16)
                    if media.loudness(samples) < media.LOUDNESS_OF_SILENCE:
                        # Only what sounds all the time is read.
                        heard.clear()
                        total = 0
                        continue
                    heard.append(samples)
                    total += len(samples)
                    if total >= BEGINNING + WINDOW:
                        break
        finally:
            await stream.aclose()
        if total < BEGINNING + WINDOW:
            raise AssertionError(f"the track {sid} ended after {total} samples")
        return media.read_tone(np.concatenate(heard)[BEGINNING:])

    async def see(self, sid: str) -> Picture:
        track = self._remote(sid).track
        if track is None:
            raise AssertionError(f"{self.identity} has not subscribed to {sid}")
        view = self._views.get(id(track))
        if view is None:
            # One stream for a track, for as long as it lives: opening and closing them all the time is not what
            # programs do, and the official SDK does not always survive it.
            view = self._views[id(track)] = View(track)
            self._background(view.watch(self._rtc))
        return await view.next_picture()

    # -- data --

    async def send_data(self, data: bytes, *, reliable: bool = True, to: Sequence[str] = (), topic: str = "") -> None:
        await self.room.local_participant.publish_data(
            data, reliable=reliable, destination_identities=list(to), topic=topic
        )

    async def receive_streams(self, topic: str) -> None:
        add = self.events.add

        async def read(kind: str, reader: Any, identity: str) -> None:
            about = {"kind": kind, "identity": identity, "topic": topic, "id": reader.info.stream_id}
            add("stream_begun", **about)
            pieces: list[Any] = []
            try:
                async for piece in reader:
                    pieces.append(piece if kind == "text" else bytes(piece))
                    if len(pieces) == 1:
                        add("stream_arriving", **about)
            except ConnectionError as error:
                text = "".join(pieces) if kind == "text" else ""
                add("stream_failed", **about, size=sum(map(len, pieces)), text=text, message=str(error))
                return
            if kind == "text":
                attributes = dict(reader.info.attributes or {})
                add("text_received", **about, text="".join(pieces), attributes=attributes)
            else:
                add("bytes_received", **about, data=b"".join(pieces), stream_name=reader.info.name)

        self._handle_streams(topic, read)

    def _handle_streams(self, topic: str, read: Callable[[str, Any, str], Coroutine[Any, Any, None]]) -> None:
        def text(reader: Any, identity: str) -> None:
            self._background(read("text", reader, identity))

        def binary(reader: Any, identity: str) -> None:
            self._background(read("bytes", reader, identity))

        self.room.register_text_stream_handler(topic, text)
        self.room.register_byte_stream_handler(topic, binary)

    async def receive_digests(self, topic: str) -> None:
        async def read(kind: str, reader: Any, identity: str) -> None:
            size, digest = 0, hashlib.sha256()
            async for piece in reader:
                data = piece.encode() if kind == "text" else bytes(piece)
                size += len(data)
                digest.update(data)
            self.events.add(
                "digest_received",
                kind=kind,
                identity=identity,
                topic=topic,
                id=reader.info.stream_id,
                size=size,
                sha256=digest.hexdigest(),
            )

        self._handle_streams(topic, read)

    async def send_repeated(self, block: bytes, size: int, *, topic: str, to: Sequence[str] = ()) -> str:
        info = await self.room.local_participant.send_bytes(
            repeated(block, size), topic=topic, name="repeated", destination_identities=list(to)
        )
        return str(info.stream_id)

    async def open_stream(self, topic: str, to: Sequence[str] = ()) -> str:
        writer = await self.room.local_participant.stream_text(topic=topic, destination_identities=list(to))
        self.writers[writer.info.stream_id] = writer
        return str(writer.info.stream_id)

    async def write_stream(self, stream_id: str, text: str) -> None:
        try:
            await self.writers[stream_id].write(text)
        except (ConnectionError, RuntimeError) as error:
            raise StreamRefusedError(str(error)) from error

    async def end_stream(self, stream_id: str) -> None:
        try:
            await self.writers[stream_id].aclose()
        except (ConnectionError, RuntimeError) as error:
            raise StreamRefusedError(str(error)) from error

    async def send_text(
        self, text: str, *, topic: str, to: Sequence[str] = (), attributes: Mapping[str, str] | None = None
    ) -> None:
        await self.room.local_participant.send_text(
            text, topic=topic, destination_identities=list(to), attributes=dict(attributes or {})
        )

    async def send_bytes(self, data: bytes, *, topic: str, name: str, to: Sequence[str] = ()) -> None:
        await self.room.local_participant.send_bytes(data, topic=topic, name=name, destination_identities=list(to))

    async def send_chat(self, text: str) -> None:
        await self.room.local_participant.send_chat_message(text)

    async def press_key(self, code: int, digit: str) -> None:
        await self.room.local_participant.publish_dtmf(code=code, digit=digit)

    async def serve_rpc(self, method: str) -> None:
        async def answer(call: Any) -> str:
            if call.payload == "fail":
                raise self._rtc.RpcError(1234, "as asked", "details")
            return f"{call.caller_identity} said {call.payload}"

        self.room.local_participant.register_rpc_method(method, answer)

    async def perform_rpc(self, to: str, method: str, payload: str) -> str:
        try:
            answer = await self.room.local_participant.perform_rpc(
                destination_identity=to,
                method=method,
                payload=payload,
                response_timeout=2 * DEADLINE,
                max_round_trip_latency=DEADLINE,
            )
        except self._rtc.RpcError as error:
            raise RpcFailedError(error.code, error.message, error.data or "") from error
        return str(answer)

    async def publish_data_track(self, name: str, size: int) -> str:
        rtc = self._rtc
        track = self._data_tracks[name] = await self.room.local_participant.publish_data_track(name=name)

        async def push() -> None:
            number = 0
            while track.is_published():
                payload = number.to_bytes(4, "big") + bytes([number % 251]) * (size - 4)
                track.try_push(rtc.DataTrackFrame(payload=payload, user_timestamp=number + 2**40))
                number += 1
                await asyncio.sleep(FRAME_INTERVAL)

        self._background(push())
        return str(track.info.sid)

    async def unpublish_data_track(self, name: str) -> None:
        await self._data_tracks.pop(name).unpublish()

    async def receive_data_track(self, sid: str) -> None:
        stream = self._data_streams[sid] = self._remote_data_tracks[sid].subscribe()

        async def read() -> None:
            async for frame in stream:
                payload = bytes(frame.payload)
                number = int.from_bytes(payload[:4], "big")
                whole = payload[4:] == bytes([number % 251]) * (len(payload) - 4)
                stamp = frame.user_timestamp
                self.events.add(
                    "frame_received", sid=sid, number=number, size=len(payload), whole=whole, timestamp=stamp
                )
            self.events.add("frames_ended", sid=sid)

        self._background(read())

    async def stop_receiving(self, sid: str) -> None:
        await self._data_streams.pop(sid).aclose()

    # -- about us --

    async def set_metadata(self, metadata: str) -> None:
        try:
            await self.room.local_participant.set_metadata(metadata)
        except self._refusals as error:
            raise RefusedError(str(error)) from error

    async def set_name(self, name: str) -> None:
        await self.room.local_participant.set_name(name)

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        await self.room.local_participant.set_attributes(attributes)


def _identity(participant: Any) -> str | None:
    return None if participant is None else str(participant.identity)


def _describe(participant: Any) -> Seen:
    return Seen(
        sid=participant.sid,
        metadata=participant.metadata or "",
        name=participant.name or "",
        attributes=dict(participant.attributes),
        tracks=list(participant.track_publications),
    )
