"""The newest seconds of an audio source are kept until somebody listens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.errors import MediaError
from aiolivekit.media.audio_frame import AudioFrame
from aiolivekit.media.audio_source import AudioSource
from aiolivekit.media.preconnect import SoundBuffer


@given(st.lists(st.binary(min_size=2, max_size=90).filter(lambda data: len(data) % 2 == 0), max_size=30))
def test_the_newest_is_kept(pieces: list[bytes]) -> None:
    buffer = SoundBuffer(50, 1, seconds=1.0)
    for piece in pieces:
        buffer.write(piece)
        assert buffer._size < 100 + 90
    assert buffer.take() == b"".join(pieces)[-100:]
    assert buffer.take() == b""


async def test_what_is_played_is_kept_in_order() -> None:
    source = AudioSource(8000, 1, queue_size_ms=0)
    before, after = (AudioFrame(bytes([each]) * 160, 8000, 1, 80) for each in (1, 2))
    await source.capture_frame(before)
    source.start_preconnect_buffer()
    source.start_preconnect_buffer()
    await source.capture_frame(after)
    await source.capture_frame(before)
    kept = source._take_preconnect_buffer()
    assert kept is not None
    assert (kept.sample_rate, kept.num_channels) == (8000, 1)
    assert kept.take() == bytes([2]) * 160 + bytes([1]) * 160
    assert source._take_preconnect_buffer() is None
    await source.aclose()
    with pytest.raises(MediaError, match="closed"):
        source.start_preconnect_buffer()
