"""Chains of steps over encoded frames: their order, what they may do, and the private members of wrtc they stand on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import webrtc
import wrtc

from aiolivekit.core.encodings import Encoding
from aiolivekit.peer import media_thread
from aiolivekit.peer.audio import LocalAudio
from aiolivekit.peer.connection import PeerConnection
from aiolivekit.peer.tracks import LocalSender, OutgoingTrack, RemoteMedia
from aiolivekit.peer.transforms import EncodedFrame, FrameChains, FrameLayer
from aiolivekit.peer.video import LocalVideo

from .pair import RecordingSink, negotiate

DEADLINE = 10.0


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    left = media_thread.current()
    media_thread._stop_at_exit()
    assert left is None


@dataclass
class Sound:
    """A sender of audio and its receiver, with a clock that goes on when the loop stands still."""

    sender: LocalSender
    media: RemoteMedia
    source: LocalAudio
    stopped: threading.Event = field(default_factory=threading.Event)

    def play(self) -> None:
        value = 0
        while not self.stopped.wait(0.01):
            value = (value + 1) % 100
            self.source.write(bytes([value, value] * 480), 48_000, 1, 480)


@asynccontextmanager
async def sound(*, sealed: bool = False) -> AsyncIterator[Sound]:
    a_sink, b_sink = RecordingSink(), RecordingSink()
    a, b = PeerConnection("a", a_sink, sealed=sealed), PeerConnection("b", b_sink, sealed=sealed)
    a_sink.other, b_sink.other = b, a
    source = LocalAudio()
    try:
        sender = a.send(OutgoingTrack(source), [Encoding()])
        assert sender.chain is sender.chain
        await negotiate(a, b)
        media = b.remote_media(sender.mid or "")
        assert media is not None
        assert media.chain is media.chain
        await a_sink.wait_connected()
        playing = Sound(sender, media, source)
        player = threading.Thread(target=playing.play)
        player.start()
        try:
            yield playing
        finally:
            playing.stopped.set()
            player.join()
    finally:
        a.close()
        b.close()
        source.close()
        for task in [*a_sink.tasks, *b_sink.tasks]:
            task.cancel()


class Frames:
    """A step that keeps what it saw; it changes nothing unless it is told to."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.threads: set[str] = set()
        self.came = threading.Semaphore(0)

    def __call__(self, frame: EncodedFrame) -> bool:
        self.seen.append(bytes(frame.data))
        self.threads.add(threading.current_thread().name)
        self.came.release()
        return True

    async def wait(self, count: int) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(self.came.acquire, timeout=DEADLINE)


async def test_sent_frames_pass_the_layers_upwards_and_received_ones_downwards() -> None:
    async with sound() as playing:
        ours, theirs = playing.sender.chain, playing.media.chain
        at_the_end = Frames()

        def add(word: bytes, frame: EncodedFrame) -> bool:
            frame.data = bytes(frame.data) + word
            return True

        def take(word: bytes, frame: EncodedFrame) -> bool:
            if not frame.data.endswith(word):
                return False
            frame.data = frame.data[: -len(word)]
            return True

        def take_cipher(frame: EncodedFrame) -> bool:
            return take(b"cipher", frame) and at_the_end(frame)

        theirs.set_step(FrameLayer.TRAILER, lambda frame: take(b"trailer", frame))
        theirs.set_step(FrameLayer.CIPHER, take_cipher)
        ours.set_step(FrameLayer.TRAILER, lambda frame: add(b"trailer", frame))
        ours.set_step(FrameLayer.CIPHER, lambda frame: add(b"cipher", frame))
        await at_the_end.wait(5)
        assert at_the_end.threads == {"aiolivekit-media"}
        assert (ours.outgoing, theirs.outgoing, ours.kind) == (True, False, "audio")
        assert ours.failed == theirs.failed == 0
        assert theirs.passed >= 4


async def test_sealed_chains_let_nothing_pass_without_a_cipher() -> None:
    async with sound(sealed=True) as playing:
        ours, theirs = playing.sender.chain, playing.media.chain
        seen, arrived = Frames(), Frames()
        ours.set_step(FrameLayer.TRAILER, seen)
        theirs.set_step(FrameLayer.CIPHER, arrived)
        async with asyncio.timeout(DEADLINE):
            while ours.dropped < 5:
                await asyncio.sleep(0.01)
        assert (seen.seen, arrived.seen, ours.passed) == ([], [], 0)
        ours.set_step(FrameLayer.CIPHER, lambda _: True)
        await arrived.wait(3)
        assert seen.seen[:3] == arrived.seen[:3]
        ours.clear()
        passed = ours.passed
        dropped = ours.dropped
        async with asyncio.timeout(DEADLINE):
            while ours.dropped < dropped + 3:
                await asyncio.sleep(0.01)
        assert ours.passed <= passed + 1  # one may have been on its way


async def test_a_step_that_raises_costs_the_frame_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    async with sound() as playing:
        ours, arrived = playing.sender.chain, Frames()
        count = 0

        def odd(_: EncodedFrame) -> bool:
            nonlocal count
            count += 1
            if count <= 3:
                raise ValueError("this frame is not to my taste")
            return True

        playing.media.chain.set_step(FrameLayer.CIPHER, arrived)
        ours.set_step(FrameLayer.CIPHER, odd)
        await arrived.wait(3)
        assert ours.failed == 3
        assert sum("dropped" in record.message for record in caplog.records) == 1


async def test_frames_flow_while_the_loop_is_blocked() -> None:
    async with sound() as playing:
        ours, theirs = Frames(), Frames()
        playing.sender.chain.set_step(FrameLayer.CIPHER, ours)
        playing.media.chain.set_step(FrameLayer.CIPHER, theirs)
        await theirs.wait(3)
        before = len(ours.seen)
        end = time.monotonic() + DEADLINE
        while len(ours.seen) < before + 80 and time.monotonic() < end:
            time.sleep(0.05)  # noqa: ASYNC251 - that is the test: libwebrtc keeps 60 frames for a loop that is blocked
        assert len(ours.seen) >= before + 80
        await theirs.wait(60)
        # All of them, in order, but for what is still on its way.
        start = ours.seen.index(theirs.seen[0])
        assert theirs.seen == ours.seen[start : start + len(theirs.seen)]


async def test_of_video_it_is_known_what_a_frame_is() -> None:
    a_sink, b_sink = RecordingSink(), RecordingSink()
    a, b = PeerConnection("a", a_sink), PeerConnection("b", b_sink)
    a_sink.other, b_sink.other = b, a
    source = LocalVideo(is_screencast=False)
    sent: list[tuple[str, bool, str | None, int]] = []
    came = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look(frame: EncodedFrame) -> bool:
        sent.append((frame.codec, frame.key_frame, frame.rid, frame.ssrc))
        assert frame.kind == "video"
        assert frame.rtp_timestamp == frame.metadata["rtpTimestamp"]
        loop.call_soon_threadsafe(came.set)
        return True

    try:
        sender = a.send(OutgoingTrack(source), [Encoding(rid="q"), Encoding(rid="f")], codec="VP8")
        sender.chain.set_step(FrameLayer.CIPHER, look)
        await negotiate(a, b)
        await a_sink.wait_connected()
        picture = wrtc.VideoFrameBuffer.fromData("I420", 64, 64, bytes(6144), [(0, 64), (4096, 32), (5120, 32)])
        async with asyncio.timeout(DEADLINE):
            while not came.is_set():
                source.write(picture, 0, 0)
                await asyncio.sleep(0.03)
        codec, key_frame, rid, ssrc = sent[0]
        assert (codec, key_frame) == ("vp8", True)
        assert rid in ("q", "f")
        assert ssrc > 0
    finally:
        a.close()
        b.close()
        source.close()


def test_a_chain_asked_for_after_the_end_is_dead() -> None:
    async def ask() -> None:
        pc = webrtc.RTCPeerConnection()
        try:
            transceiver = pc.add_transceiver("audio")
            chains = FrameChains(sealed=True)
            chains.close()
            chain = chains.of_receiver(transceiver)
            chain.set_step(FrameLayer.CIPHER, lambda _: True)
            chain.request_key_frame()
            assert transceiver.receiver.transform is None
            assert chains.find(transceiver.receiver) is None
        finally:
            pc.close()

    asyncio.run(ask())


def test_the_private_members_are_there() -> None:
    native = wrtc.RTCRtpScriptTransform()
    for name in ("_ackWakeup", "_bind", "read", "sendKeyFrameRequest", "write"):
        assert callable(getattr(native, name))
    assert native.read() is None
    assert native.sendKeyFrameRequest() is False
    for name in ("getData", "getMetadata"):
        assert callable(getattr(wrtc.RTCEncodedFrame, name))
    # Ours does not become what other users of wrtc in the process get.
    assert type(webrtc.RTCRtpScriptTransform._wrap(native)) is webrtc.RTCRtpScriptTransform
