"""A recorded message as a tree of plain values without anything that differs from run to run.

The rules: a sid, cid or msid becomes a name (`names`); a token becomes its claims; a session description its meaning
(`descriptions`); a time is `<time>` when there is one; what a message is silent about is absent from the tree (as in
protobuf's third syntax, a field at its default); what is a set on the wire is sorted or keyed by what identifies it.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from livekit.protocol import rtc

from .descriptions import sdp_meaning, section_labels, trickle_meaning, without_mids
from .names import Names

__all__ = ["labels_of_offer", "meaning"]

_TIMES = {
    "joined_at",
    "joined_at_ms",
    "creation_time",
    "creation_time_ms",
    "timestamp",
    "last_ping_timestamp",
    "unix_micro",
    "rtt",
}
_CLAIM_TIMES = {"exp", "nbf", "iat"}
_SECRETS = {"sif_trailer", "turn_password", "node_id", "iss", "kid", "jti"}
_KEYS = {
    "other_participants": "identity",
    "participants": "identity",
    "tracks": "sid",
    "subscribed_codecs": "codec",
    "subscribed_qualities": "quality",
    "qualities": "quality",
    "speakers": "sid",
    "updates": "participant_sid",
    "stream_states": "track_sid",
    "data_tracks": "sid",
    "participant_tracks": "participant_sid",
}
"""Lists whose order means nothing, and the field that identifies their members."""

_SETS = {"capabilities", "can_publish_sources", "audio_features", "track_sids"}
_MEASURED = {
    ("SpeakerInfo", "level"),
    ("ConnectionQualityInfo", "score"),
    ("VideoLayer", "ssrc"),
    ("VideoLayer", "bitrate"),
}
"""Numbers that are measured or drawn: whether there is one is compared, not which."""

_COUNTS = {"num_participants", "num_publishers"}
"""Counts of a room, which servers collect for seconds: compared where a scenario waits for them."""


def meaning(
    body: Message | str | int, kind: str, names: Names, origin: str = "", labels: dict[str, str] | None = None
) -> Any:
    """Return the tree of what was said.

    Args:
        body: What was said.
        kind: The kind of message.
        names: Names for what is made up at run time.
        origin: Who said it, `client` or `server`.
        labels: For a client's answer, what the sections of the offer are called (`labels_of_offer`).
    """
    if isinstance(body, rtc.SessionDescription) and (origin, kind) == ("client", "answer"):
        return _description(body, names, labels=labels)
    if isinstance(body, rtc.SessionDescription) and (origin, kind) in (("client", "offer"), ("server", "answer")):
        return _description(body, names, spare=False)
    if isinstance(body, Message):
        return _message(body, names)
    if kind in ("pong", "ping"):
        return "<time>"
    if kind == "refresh_token":
        return _claims(str(body), names)
    if isinstance(body, str):
        return _text(body, names)
    return body


def _text(text: str, names: Names) -> str:
    words = ["<token>" if word.count(".") == 2 and len(word) > 100 else word for word in text.split(" ")]
    words = ["<token>," if word.rstrip(",").count(".") == 2 and len(word) > 100 else word for word in words]
    return names.replace(" ".join(words))


def _claims(token: str, names: Names) -> Any:
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError):
        return "unreadable"

    def plain(name: str, value: Any) -> Any:
        if name in _CLAIM_TIMES:
            return "<time>"
        if name in _SECRETS:
            return f"<{name}>"
        if isinstance(value, dict):
            return {inner: plain(inner, v) for inner, v in sorted(value.items())}
        return names.replace(value) if isinstance(value, str) else value

    return {name: plain(name, value) for name, value in claims.items()}


def _message(message: Message, names: Names) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    if message.DESCRIPTOR.name == "SessionDescription":
        return _description(message, names)
    for field, value in message.ListFields():
        if message.DESCRIPTOR.name == "Room" and field.name in _COUNTS:
            continue
        if (message.DESCRIPTOR.name, field.name) == ("ParticipantInfo", "version"):
            continue
        tree[field.name] = _field(message, field, value, names)
    return tree


def _field(message: Message, field: FieldDescriptor, value: Any, names: Names) -> Any:
    name = field.name
    if name in _TIMES or (field.message_type is not None and field.message_type.name == "TimedVersion"):
        return "<time>"
    if name in _SECRETS or (message.DESCRIPTOR.name, name) in _MEASURED:
        return f"<{name}>"
    if name == "candidateInit":
        return trickle_meaning(value)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {str(key): _scalar(field, v, names) for key, v in sorted(value.items())}
    if field.is_repeated:
        members = [_member(field, v, names) for v in value]
        if name in _SETS:
            return sorted(str(member) for member in members)
        key = _KEYS.get(name)
        if key is not None and all(isinstance(m, dict) for m in members):
            return {str(member.get(key, "?")): member for member in members}
        return members
    return _member(field, value, names)


def _member(field: FieldDescriptor, value: Any, names: Names) -> Any:
    if field.message_type is not None:
        return _message(value, names)
    return _scalar(field, value, names)


def _scalar(field: FieldDescriptor, value: Any, names: Names) -> Any:
    if field.enum_type is not None and isinstance(value, int):
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str):
        return names.replace(value)
    if isinstance(value, Message):
        return _message(value, names)
    return value


def _description(
    message: Any, names: Names, *, spare: bool = True, labels: dict[str, str] | None = None
) -> dict[str, Any]:
    tree = sdp_meaning(message.sdp, names.replace, spare=spare, tracks=message.mid_to_track_id, labels=labels)
    return without_mids(tree) | {"type": message.type}


def labels_of_offer(message: rtc.SessionDescription, names: Names) -> dict[str, str]:
    """Return what the sections of an offer are called, for the answer to it."""
    return section_labels(sdp_meaning(message.sdp, names.replace, tracks=message.mid_to_track_id))
