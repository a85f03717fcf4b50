"""Video tracks are sent to us as their streams need them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from livekit.protocol import models

from aiolivekit.enums import VideoQuality
from aiolivekit.room import adaptive_stream
from aiolivekit.room.track import RemoteVideoTrack

from .fakes import Stage, info, track

VIDEO = models.TrackType.VIDEO


class Watcher:
    """What the room asks of a `VideoStream`."""

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self._wanted_size = size
        self._hidden = False

    def _track_gone(self) -> None:
        pass

    def _place_changed(self) -> None:
        pass


class Scene:
    """A room with adaptive stream, in which ann's picture arrives."""

    def __init__(self) -> None:
        self.stage = Stage()
        members = self.stage.room._visit.members  # type: ignore[union-attr]
        members.enable_adaptive_stream()
        self.watchers: set[Watcher] = set()

    async def begin(self) -> None:
        await asyncio.sleep(0)
        self.stage.update(info("ann", tracks=[track("TR_1", type=VIDEO)]))
        self.arrive()

    def arrive(self) -> None:
        self.stage.add_media("TR_1", kind="video")

    @property
    def publication(self) -> Any:
        return self.stage.room.remote_participants["ann"].track_publications["TR_1"]

    @property
    def track(self) -> RemoteVideoTrack:
        found = self.publication.track
        assert isinstance(found, RemoteVideoTrack)
        return found

    def watch(self, size: tuple[int, int] | None = None) -> Watcher:
        watcher = Watcher(size)
        self.watchers.add(watcher)
        self.track._streams.add(watcher)
        self.tell()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        self.track._streams.discard(watcher)
        self.tell()

    def tell(self) -> None:
        assert self.track._on_demand is not None
        self.track._on_demand()

    def asked(self) -> list[tuple[bool, int, int, int]]:
        """What the server was asked since the last call: whether to send it, the size, the quality."""
        requests, self.stage.engine.requests[:] = list(self.stage.engine.requests), []
        settings = [each.track_setting for each in requests if each.HasField("track_setting")]
        return [(not each.disabled, each.width, each.height, each.quality) for each in settings]


HIGH, LOW = models.VideoQuality.HIGH, models.VideoQuality.LOW


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(adaptive_stream, "_PAUSE_DELAY", 3600.0)
    scene = Scene()
    await scene.begin()
    return scene


def time_passes(scene: Scene) -> None:
    """Pause what is due to be paused."""
    adaptive = scene.stage.room._visit.members._reception._adaptive  # type: ignore[union-attr]
    assert adaptive is not None
    for publication, handle in list(adaptive._pauses.items()):
        handle.cancel()
        adaptive._pause(publication, scene.track)


async def test_a_track_that_nobody_looks_at_is_paused(scene: Scene) -> None:
    # Not at once: the program may be about to open a stream.
    assert scene.asked() == []
    time_passes(scene)
    assert scene.asked() == [(False, 0, 0, HIGH)]
    watcher = scene.watch()
    assert scene.asked() == [(True, 0, 0, HIGH)]
    scene.leave(watcher)
    other = scene.watch()
    time_passes(scene)
    assert scene.asked() == []
    other._hidden = True
    scene.tell()
    time_passes(scene)
    assert scene.asked() == [(False, 0, 0, HIGH)]


async def test_the_largest_size_wanted_counts(scene: Scene) -> None:
    scene.watch((320, 180))
    large = scene.watch((640, 100))
    assert scene.asked() == [(True, 320, 180, HIGH), (True, 640, 180, HIGH)]
    whole = scene.watch()
    scene.tell()
    assert scene.asked() == [(True, 0, 0, HIGH)]
    scene.leave(whole)
    scene.leave(large)
    assert scene.asked() == [(True, 640, 180, HIGH), (True, 320, 180, HIGH)]


async def test_what_is_said_counts_more(scene: Scene) -> None:
    scene.watch((320, 180))
    scene.publication.set_video_quality(VideoQuality.VIDEO_QUALITY_LOW)
    assert scene.asked() == [(True, 320, 180, HIGH), (True, 0, 0, LOW)]
    scene.watch()
    assert scene.asked() == []
    scene.publication.set_video_dimensions(100, 50)
    scene.publication.set_enabled(False)
    assert scene.asked() == [(True, 100, 50, HIGH), (False, 100, 50, HIGH)]
    scene.publication.follow_streams()
    assert scene.asked() == [(True, 0, 0, HIGH)]


async def test_a_track_that_comes_again_is_looked_at_anew(scene: Scene) -> None:
    scene.watch((320, 180))
    scene.publication.set_video_fps(5)
    scene.asked()
    before = scene.track
    scene.stage.remove_media("TR_1")
    scene.arrive()
    assert scene.track is not before
    # The server has forgotten; who looked at the one before is told nothing to.
    before._on_demand()  # type: ignore[misc]
    assert scene.asked() == []
    scene.watch((320, 180))
    assert scene.asked() == [(True, 320, 180, HIGH)]


async def test_streams_live_on_any_thread(scene: Scene) -> None:
    thread = threading.Thread(target=scene.watch, args=((64, 64),))
    thread.start()
    thread.join()
    assert scene.asked() == []
    await asyncio.sleep(0)
    assert scene.asked() == [(True, 64, 64, HIGH)]


async def test_sound_is_left_alone(scene: Scene) -> None:
    scene.stage.update(info("ann", version=2, tracks=[track("TR_1", type=VIDEO), track("TR_2")]))
    scene.stage.add_media("TR_2")
    time_passes(scene)
    assert scene.asked() == [(False, 0, 0, HIGH)]


async def test_nothing_is_left_when_the_room_ends(scene: Scene) -> None:
    adaptive = scene.stage.room._visit.members._reception._adaptive  # type: ignore[union-attr]
    assert adaptive is not None
    await scene.stage.room.disconnect()
    assert not adaptive._pauses
