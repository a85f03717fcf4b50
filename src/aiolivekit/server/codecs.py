"""Which codecs the server knows, and which of two descriptions mean the same one."""

from __future__ import annotations

from dataclasses import replace

from aiolivekit.server.rtp import packet
from aiolivekit.server.rtp.sender import Mapping
from aiolivekit.server.sdp import Codec

__all__ = [
    "ACCEPTED_EXTENSIONS",
    "ENABLED_CODECS",
    "RECEIVE_EXTENSIONS",
    "SEND_EXTENSIONS",
    "canonical_mime",
    "choose_publish_codecs",
    "map_codecs",
    "offered_codecs",
]

ENABLED_CODECS = (
    "audio/PCMU",
    "audio/PCMA",
    "audio/opus",
    "audio/red",
    "video/VP8",
    "video/H264",
    "video/VP9",
    "video/AV1",
    "video/H265",
    "video/rtx",
)
"""What the real server enables when it is configured with nothing."""

PUBLISH_CODECS = (
    "video/VP8",
    "video/H264",
    "video/VP9",
    "video/AV1",
    "video/H265",
    "audio/PCMU",
    "audio/PCMA",
    "audio/opus",
    "audio/red",
)
"""The same in the order in which the join response lists them."""

_MIMES = {mime.lower(): mime for mime in ENABLED_CODECS}

RECEIVE_EXTENSIONS = {
    "audio": (packet.AUDIO_LEVEL, packet.MID),
    "video": (packet.DEPENDENCY_DESCRIPTOR, packet.TRANSPORT_CC, packet.MID, packet.RID, packet.REPAIRED_RID),
}
"""Header extensions that publishers may send us."""

SEND_EXTENSIONS = {
    "audio": (packet.ABS_CAPTURE_TIME,),
    "video": (packet.DEPENDENCY_DESCRIPTOR, packet.ABS_CAPTURE_TIME),
}
"""Header extensions that subscribers may get from us."""

ACCEPTED_EXTENSIONS = {
    "audio": (packet.AUDIO_LEVEL, packet.MID, packet.ABS_CAPTURE_TIME),
    "video": (
        packet.ABS_SEND_TIME,
        packet.TRANSPORT_CC,
        packet.MID,
        packet.RID,
        packet.REPAIRED_RID,
        packet.DEPENDENCY_DESCRIPTOR,
        packet.ABS_CAPTURE_TIME,
    ),
}
"""What is agreed to in sections where the client only receives.

More than we send: a client that offers sections for both ways keeps only what both sides ever agreed to, and needs
the rest for what it publishes.
"""

_RECEIVE_FEEDBACK = ("transport-cc", "ccm fir", "nack", "nack pli")
_SEND_FEEDBACK = ("ccm fir", "nack", "nack pli")

# Payload types of our own offers; those of the real server.
_OFFERED_TYPES = {
    "opus": (111,),
    "red": (63,),
    "pcmu": (0,),
    "pcma": (8,),
    "vp8": (96,),
    "vp9": (98, 100),
    "h264": (125, 108, 104, 102),
    "av1": (35,),
    "h265": (116,),
}

_OFFERED_AUDIO = {"opus": "minptime=10;useinbandfec=1", "red": "111/111"}
"""Format parameters of our own offers, whatever the publisher said of its own side."""


def canonical_mime(kind: str, name: str) -> str:
    """Return kind and name as `TrackInfo.mime_type` spells them."""
    return _MIMES.get(f"{kind}/{name}".lower(), f"{kind}/{name}")


def _with_feedback(codec: Codec, wanted: tuple[str, ...], kind: str) -> Codec:
    feedback = tuple(f for f in wanted if f in codec.feedback) if kind == "video" else ()
    return Codec(codec.payload_type, codec.name, codec.clock_rate, codec.channels, codec.fmtp, feedback)


def _enabled(codec: Codec) -> bool:
    """Whether a codec's profile is among those that the real server registers."""
    parameters = codec.parameters()
    if codec.mime == "vp9":
        return parameters.get("profile-id", "0") in ("0", "1")
    if codec.mime == "av1":
        return parameters.get("profile", "0") == "0"
    if codec.mime == "h264":
        return parameters.get("profile-level-id", "42e01f")[:2].lower() in ("42", "64")
    return True


def _known(kind: str, codecs: list[Codec]) -> list[Codec]:
    return [c for c in codecs if f"{kind}/{c.mime}" in _MIMES and c.mime != "rtx" and _enabled(c)]


def choose_publish_codecs(kind: str, offered: list[Codec], preferred: str, *, red: bool) -> list[Codec]:
    """Return what a publisher may send in a section, in the order of preference.

    Args:
        kind: "audio" or "video".
        offered: What the client offered.
        preferred: The mime type announced with the track, empty when none was.
        red: Whether audio with redundancy is wanted.
    """
    known = [_with_feedback(c, _RECEIVE_FEEDBACK, kind) for c in _known(kind, offered)]
    if kind == "audio":
        first = "red" if red else "opus"
        return sorted(known, key=lambda c: c.mime != first)
    wanted = preferred.lower().partition("/")[2]
    return sorted(known, key=lambda c: c.mime != wanted)


def choose_subscribe_codecs(kind: str, offered: list[Codec]) -> list[Codec]:
    """Return what a subscriber that offers may get in a section, with its own payload types."""
    known = [_with_feedback(c, _SEND_FEEDBACK, kind) for c in _known(kind, offered)]
    # What a client says of Opus is how it wants to be sent; an answer says how we would.
    return [replace(c, fmtp=_OFFERED_AUDIO["opus"]) if c.mime == "opus" else c for c in known]


def offered_codecs(kind: str, published: list[Codec]) -> list[Codec]:
    """Return the codecs of a section that we offer for a track with these codecs."""
    taken: dict[str, int] = {}
    offered = []
    for codec in published:
        index = taken.get(codec.mime, 0)
        numbers = _OFFERED_TYPES.get(codec.mime, ())
        if index >= len(numbers):
            continue
        taken[codec.mime] = index + 1
        number = numbers[index]
        fmtp = _OFFERED_AUDIO.get(codec.mime, codec.fmtp)
        fmtp = ";".join(p for p in fmtp.split(";") if not p.strip().startswith("x-google"))
        feedback = _SEND_FEEDBACK if kind == "video" else _audio_feedback(codec, published)
        offered.append(Codec(number, codec.name, codec.clock_rate, codec.channels, fmtp, feedback))
    # Opus first, as the real server offers: what comes in as redundancy may still leave so.
    return sorted(offered, key=lambda c: c.mime != "opus") if kind == "audio" else offered


def _audio_feedback(codec: Codec, published: list[Codec]) -> tuple[str, ...]:
    # Redundancy makes up for losses by itself; without it lost packets are asked for.
    redundant = bool(published) and published[0].mime == "red"
    return () if codec.mime == "red" or (codec.mime == "opus" and redundant) else ("nack",)


def _same(ours: Codec, theirs: Codec) -> bool:
    if ours.mime != theirs.mime or ours.clock_rate != theirs.clock_rate:
        return False
    first, second = ours.parameters(), theirs.parameters()
    if ours.mime == "h264":
        # Profile without its constraint bits and level, and how packets are cut.
        return (
            first.get("packetization-mode", "0") == second.get("packetization-mode", "0")
            and first.get("profile-level-id", "42e01f")[:2] == second.get("profile-level-id", "42e01f")[:2]
        )
    if ours.mime == "vp9":
        return first.get("profile-id", "0") == second.get("profile-id", "0")
    if ours.mime == "av1":
        return first.get("profile", "0") == second.get("profile", "0")
    return True


def map_codecs(published: list[Codec], subscribed: list[Codec]) -> dict[int, Mapping]:
    """Return how each payload type of a publisher reaches a subscriber; those that cannot are left out."""
    mappings: dict[int, Mapping] = {}
    opus = next((c for c in subscribed if c.mime == "opus"), None)
    for codec in published:
        match = next((c for c in subscribed if _same(codec, c)), None)
        if codec.mime == "red":
            if match is not None and opus is not None:
                mappings[codec.payload_type] = Mapping(match.payload_type, "red", opus.payload_type)
            elif opus is not None:
                mappings[codec.payload_type] = Mapping(opus.payload_type, "opus", 0)
        elif match is not None:
            mappings[codec.payload_type] = Mapping(match.payload_type, codec.mime)
    return mappings
