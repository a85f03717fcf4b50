"""Of the official SDK's tests, those that are about the insides of its FFI, by name and with the reason.

For each it is said where the same behaviour of ours is tested.
"""

from __future__ import annotations

__all__ = ["excluded", "ignored_files", "reason_for"]

_HALF_OBJECTS = (
    "builds rooms, tracks and streams around the FFI with `__new__`, gives them protobuf messages as their insides and "
    "calls the official classes' private methods; ours is tested in `tests/unit/room/test_stream_places.py`, "
    "`tests/unit/media/test_media_streams.py`, and, in a room, in `tests/e2e/test_frame_processor.py`"
)

_EXCLUDED = {
    "livekit-rtc/tests/test_audio_stream_room_lifecycle.py": _HALF_OBJECTS,
    "livekit-rtc/tests/test_audio_stream_init.py": (
        "replaces the private method that asks the FFI for a stream; ours asks nobody, and `tests/leaks.py` looks for "
        "tasks left behind in every test"
    ),
    "tests/rtc/test_frame_metadata.py::test_video_source_capture_frame_copies_metadata": (
        "looks at the request to the FFI; ours is tested by the official `test_e2e.py::test_video_frame_metadata`"
    ),
    "tests/rtc/test_frame_metadata.py::test_track_publication_exposes_frame_metadata_features": (
        "makes a publication from a handle of the FFI; ours is tested by the official "
        "`test_e2e.py::test_video_frame_metadata`"
    ),
    "tests/rtc/test_frame_metadata.py::test_local_track_republished_updates_existing_publication": (
        "makes participants from handles of the FFI and feeds the room an event of its; ours is tested by the official "
        "`test_e2e.py::test_full_reconnect_preserves_local_publication_object`"
    ),
    "tests/rtc/test_connection_quality.py::test_participant_default_quality_is_unknown": (
        "makes a participant from a handle of the FFI; ours is tested in `tests/unit/room/test_members.py`"
    ),
}


def reason_for(name: str) -> str | None:
    """Return why a test (`file.py::test`) is excluded; `None` if it is not."""
    return _EXCLUDED.get(name) or _EXCLUDED.get(name.partition("::")[0])


def ignored_files() -> list[str]:
    """Return the files of which every test is excluded."""
    return [name for name in _EXCLUDED if "::" not in name]


def excluded() -> list[str]:
    """Return the single tests that are excluded."""
    return [name for name in _EXCLUDED if "::" in name]
