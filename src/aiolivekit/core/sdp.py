"""What we read from session descriptions, and the few edits we make to them (RFC 8866, RFC 8829).

Each edit keeps the line endings it found and returns the text unchanged when there is nothing to do. The functions
take whatever the network sent: a line they do not understand is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "MediaSection",
    "allow_stereo",
    "inactive_to_recvonly",
    "max_message_size",
    "media_sections",
    "mids_by_track",
    "rejected_mids",
    "sends_stereo",
    "start_bitrate",
]

_FMTP = re.compile(r"a=fmtp:(\d+) (.*)")
_RTPMAP = re.compile(r"a=rtpmap:(\d+) ([^/ ]+)/")
_DIRECTIONS = frozenset({"a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"})


@dataclass(frozen=True, slots=True)
class MediaSection:
    """A media section of a description.

    Args:
        mid: Its `a=mid`.
        kind: Audio or video.
        sends: Whether the side that made the description sends in it.
        stream_id: The first part of its `a=msid`, or empty.
        track_id: The second part of its `a=msid`, or empty.
    """

    mid: str
    kind: Literal["audio", "video"]
    sends: bool
    stream_id: str
    track_id: str


def _split(sdp: str) -> list[list[str]]:
    """The session part and each media section, as lists of lines with their endings."""
    part: list[str] = []
    parts = [part]
    for line in sdp.splitlines(keepends=True):
        if line.startswith("m="):
            part = []
            parts.append(part)
        part.append(line)
    return parts


def _value(section: Iterable[str], prefix: str) -> str | None:
    for line in section:
        if line.startswith(prefix):
            return line[len(prefix) :].strip()
    return None


def _is_rejected(section: Sequence[str]) -> bool:
    return section[0].split(" ")[1:2] == ["0"] and "a=bundle-only" not in map(str.strip, section)


def rejected_mids(sdp: str) -> set[str]:
    """Return the sections that a description rejects, as those are for which there is no codec in common."""
    mids = (_value(section, "a=mid:") for section in _split(sdp)[1:] if _is_rejected(section))
    return {mid for mid in mids if mid is not None}


def media_sections(sdp: str) -> list[MediaSection]:
    """Return the audio and video sections of a description that have a mid."""
    found = []
    for section in _split(sdp)[1:]:
        kind = section[0][2:].split(" ", 1)[0]
        mid = _value(section, "a=mid:")
        if mid is None or (kind != "audio" and kind != "video"):
            continue
        direction = next((line for line in map(str.strip, section) if line in _DIRECTIONS), "a=sendrecv")
        stream_id, _, track_id = (_value(section, "a=msid:") or "").partition(" ")
        found.append(
            MediaSection(
                mid=mid,
                kind="audio" if kind == "audio" else "video",
                sends=not _is_rejected(section) and direction in ("a=sendrecv", "a=sendonly"),
                stream_id="" if stream_id == "-" else stream_id,
                track_id=track_id,
            )
        )
    return found


def mids_by_track(sdp: str) -> dict[str, str]:
    """Return the section of each track that one of our own offers sends, by the track's id.

    A transceiver learns its mid only when the offer is set, and by then it is too late to edit it.
    """
    return {section.track_id: section.mid for section in media_sections(sdp) if section.sends and section.track_id}


def max_message_size(sdp: str) -> int | None:
    """Return the `a=max-message-size` of the data section (0 means unlimited), or `None` when it has none."""
    for section in _split(sdp)[1:]:
        if section[0].startswith("m=application"):
            value = _value(section, "a=max-message-size:")
            if value is not None and value.isdecimal():
                return int(value)
    return None


def _edit_sections(sdp: str, edit: Callable[[list[str]], list[str]]) -> str:
    parts = _split(sdp)
    return "".join("".join(part) for part in [parts[0], *map(edit, parts[1:])])


def inactive_to_recvonly(sdp: str) -> str:
    """Offer to receive in every media section that would be inactive.

    With a single peer connection the server puts a new track into a section it has stopped sending in; it can do so
    only when our offer says `recvonly` there.
    """
    if "a=inactive" not in sdp:
        return sdp

    def edit(section: list[str]) -> list[str]:
        if not section[0].startswith(("m=audio", "m=video")):
            return section
        return [
            line.replace("a=inactive", "a=recvonly", 1) if line.strip() == "a=inactive" else line for line in section
        ]

    return _edit_sections(sdp, edit)


def _payload_types(section: Iterable[str], codec: str) -> set[str]:
    matches = (_RTPMAP.match(line) for line in section)
    return {m[1] for m in matches if m is not None and m[2].lower() == codec}


def sends_stereo(sdp: str) -> set[str]:
    """Return the mids of the audio sections whose sender will send stereo Opus (RFC 7587, `sprop-stereo`)."""
    mids: set[str] = set()
    if "sprop-stereo=1" not in sdp:
        return mids
    for section in _split(sdp)[1:]:
        mid = _value(section, "a=mid:")
        if mid is None or not section[0].startswith("m=audio"):
            continue
        opus = _payload_types(section, "opus")
        for line in section:
            match = _FMTP.match(line.strip())
            if match is not None and match[1] in opus and "sprop-stereo=1" in _parameters(match[2]):
                mids.add(mid)
    return mids


def _parameters(fmtp: str) -> list[str]:
    return [parameter.strip() for parameter in fmtp.split(";")]


def allow_stereo(sdp: str, mids: set[str] | None = None) -> str:
    """Say that we take stereo Opus in these audio sections, or in all of them (RFC 7587, section 6.1)."""

    def edit(section: list[str]) -> list[str]:
        if not section[0].startswith("m=audio"):
            return section
        if mids is not None and _value(section, "a=mid:") not in mids:
            return section
        opus = _payload_types(section, "opus")
        return [_with_parameters(line, opus, {"stereo": "1"}) for line in section]

    return _edit_sections(sdp, edit)


def _with_parameters(line: str, payload_types: set[str], wanted: Mapping[str, str]) -> str:
    body = line.rstrip("\r\n")
    match = _FMTP.match(body)
    if match is None or match[1] not in payload_types:
        return line
    present = {parameter.partition("=")[0] for parameter in _parameters(match[2])}
    missing = [f"{name}={value}" for name, value in wanted.items() if name not in present]
    return ";".join([body, *missing]) + line[len(body) :]


def start_bitrate(sdp: str, bitrates: Mapping[str, int]) -> str:
    """Give VP8 and H.264 a bitrate to start with.

    These alone: with the parameter libwebrtc no longer recognises VP9 and AV1 as the formats it knows, and drops
    their scalability mode.

    Args:
        sdp: The server's answer to our offer: libwebrtc reads there how to send.
        bitrates: What each section starts with by mid, in bits a second.
    """
    if not bitrates:
        return sdp

    def edit(section: list[str]) -> list[str]:
        start = bitrates.get(_value(section, "a=mid:") or "")
        if not section[0].startswith("m=video") or start is None:
            return section
        types = _payload_types(section, "vp8") | _payload_types(section, "h264")
        if not types:
            return section
        parameters = {"x-google-start-bitrate": str(start // 1000)}
        described = {m[1] for line in section if (m := _FMTP.match(line.strip())) is not None}
        edited = [_with_parameters(line, types, parameters) for line in section]
        for payload_type in sorted(types - described):
            where = next(i for i, line in enumerate(edited) if line.startswith(f"a=rtpmap:{payload_type} "))
            ending = edited[where][len(edited[where].rstrip("\r\n")) :]
            words = ";".join(f"{name}={value}" for name, value in parameters.items())
            edited.insert(where + 1, f"a=fmtp:{payload_type} {words}{ending}")
        return edited

    return _edit_sections(sdp, edit)
