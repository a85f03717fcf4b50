from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aiolivekit.media.audio_source import AudioSource
from aiolivekit.room.track import LocalAudioTrack

from .fakes import Connector, Stage, info


@pytest.fixture
async def stage() -> Stage:
    """A connected room with nobody else in it."""
    return await Stage.started()


@pytest.fixture
async def ann() -> Stage:
    """A connected room with `ann` in it."""
    return await Stage.started(info("ann"))


@pytest.fixture
async def source() -> AsyncIterator[AudioSource]:
    source = AudioSource(48_000, 1, queue_size_ms=0)
    yield source
    await source.aclose()


@pytest.fixture
async def microphone(source: AudioSource) -> LocalAudioTrack:
    return LocalAudioTrack.create_audio_track("mic", source)


@pytest.fixture
def connector(monkeypatch: pytest.MonkeyPatch) -> Connector:
    connector = Connector()
    monkeypatch.setattr("aiolivekit.room.room.RtcEngine", connector)
    return connector
