"""Every deliberate difference between the surface of `aiolivekit.rtc` and that of `livekit.rtc`, with the reason.

`docs/dropin.md` has them as a table, which `python -m tests.compat.differences` writes; a test compares both with what
the surfaces really are.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["DIFFERENT", "table"]

_BY_THE_ROOM = """
    DataTrackStream LocalDataTrack LocalParticipant LocalTrackPublication Participant RemoteAudioTrack RemoteDataTrack
    RemoteParticipant RemoteTrackPublication RemoteVideoTrack Track TrackPublication
"""
_STREAMS = "ByteStreamReader ByteStreamWriter TextStreamReader TextStreamWriter data_stream.BaseStreamWriter"

# names, what is different, why
_LIST = [
    (
        _BY_THE_ROOM,
        "called otherwise",
        "Made by the room, not by programs: theirs take handles of the FFI, ours the parts they work with.",
    ),
    (
        "LocalAudioTrack LocalVideoTrack",
        "called otherwise",
        "Made by `create_audio_track` and `create_video_track`, which are as theirs.",
    ),
    (
        _STREAMS,
        "called otherwise",
        "Made by the methods of `LocalParticipant`, or by the room for a handler, not by programs.",
    ),
    (
        "E2EEManager FrameCryptor KeyProvider",
        "called otherwise",
        "Made by the room, from `E2EEOptions`; theirs take its handle. A `KeyProvider` of ours can be made beforehand.",
    ),
    ("PlatformAudioSource", "called otherwise", "Made by `PlatformAudio.create_audio_source`."),
    ("media_devices.InputCapture", "called otherwise", "Made by `MediaDevices.open_input`."),
    (
        "media_devices.InputCapture.task",
        "missing",
        "What is recorded reaches the source on PortAudio's thread, not by a task.",
    ),
    ("media_devices.FRAME_SAMPLES", "missing", "A number of the insides of their `MediaDevices`."),
]

DIFFERENT = {name: what for names, what, _ in _LIST for name in names.split()}


def table() -> str:
    """Return the list as Markdown."""
    lines = ["| name | difference | why |", "|---|---|---|"]
    lines += [f"| {', '.join(f'`{name}`' for name in names.split())} | {what} | {why} |" for names, what, why in _LIST]
    return "\n".join(lines)


def main() -> None:
    """Write the table into the docs."""
    path = Path(__file__).parent.parent.parent / "docs" / "dropin.md"
    begin, end = "<!-- differences:begin -->\n", "\n<!-- differences:end -->"
    before, rest = path.read_text(encoding="utf-8").split(begin)
    path.write_text(f"{before}{begin}{table()}{end}{rest.split(end)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
