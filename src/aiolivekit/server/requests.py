"""What a client asks for when it connects: the query of `/rtc`, or the join request of `/rtc/v1`. No I/O."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc

from aiolivekit.server.options import Limits
from aiolivekit.server.tokens import Claims

__all__ = ["ConnectRequest", "Refusal", "parse_request"]

PERMISSION_DENIED = "permissions denied"
NO_PERMISSIONS = "no permissions to access the room"

_SDKS = {
    "js": "JS",
    "ios": "SWIFT",
    "swift": "SWIFT",
    "android": "ANDROID",
    "flutter": "FLUTTER",
    "go": "GO",
    "unity": "UNITY",
    "reactnative": "REACT_NATIVE",
    "rust": "RUST",
    "python": "PYTHON",
    "cpp": "CPP",
    "unityweb": "UNITY_WEB",
    "node": "NODE",
    "esp32": "ESP32",
}


class Refusal(Exception):  # noqa: N818 - it is an answer rather than an error of ours
    """The connection is refused with an HTTP status and a body."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body)
        self.status = status
        self.body = body


@dataclass(frozen=True)
class ConnectRequest:
    """A validated request to join or to resume."""

    room: str
    claims: Claims
    client: models.ClientInfo
    single_peer_connection: bool
    auto_subscribe: bool = True
    auto_subscribe_data_track: bool = False
    adaptive_stream: bool = False
    reconnect: bool = False
    participant_sid: str = ""
    reconnect_reason: int = 0
    publisher_offer: rtc.SessionDescription | None = None
    add_tracks: list[rtc.AddTrackRequest] = field(default_factory=list)
    sync_state: rtc.SyncState | None = None


def _true(value: str) -> bool:
    return value in ("1", "true")


def _number(value: str) -> int:
    try:
        number = int(value)
    except ValueError:
        return 0
    return number if -(2**31) <= number < 2**31 else 0


def _client_info(query: Mapping[str, str]) -> models.ClientInfo:
    info = models.ClientInfo(
        version=query.get("version", ""),
        protocol=_number(query.get("protocol", "")),
        os=query.get("os", ""),
        os_version=query.get("os_version", ""),
        device_model=query.get("device_model", ""),
        browser=query.get("browser", ""),
        browser_version=query.get("browser_version", ""),
        network=query.get("network", ""),
        client_protocol=_number(query.get("client_protocol", "")),
    )
    name = _SDKS.get(query.get("sdk", ""))
    if name in models.ClientInfo.SDK.keys():  # noqa: SIM118 - a protobuf wrapper, no mapping
        info.sdk = cast(models.ClientInfo.SDK, models.ClientInfo.SDK.Value(name))
    for name in query.get("capabilities", "").split(","):
        if name.strip() in models.ClientInfo.Capability.keys():  # noqa: SIM118
            capability = models.ClientInfo.Capability.Value(name.strip())
            info.capabilities.append(cast(models.ClientInfo.Capability, capability))
    return info


def _join_request(text: str, limits: Limits) -> rtc.JoinRequest:
    try:
        data = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise Refusal(400, "cannot base64 decode wrapped join request") from error
    try:
        wrapped = rtc.WrappedJoinRequest.FromString(data)
    except DecodeError as error:
        raise Refusal(400, "cannot unmarshal wrapped join request") from error
    body = wrapped.join_request
    if wrapped.compression == rtc.WrappedJoinRequest.Compression.GZIP:
        try:
            body = gzip.GzipFile(fileobj=io.BytesIO(body)).read(limits.join_request + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise Refusal(400, "cannot read decompressed join request") from error
    if len(body) > limits.join_request:
        raise Refusal(400, "join request too large")
    try:
        return rtc.JoinRequest.FromString(body)
    except DecodeError as error:
        raise Refusal(400, "cannot unmarshal join request") from error


def _attributes(text: str, *, strict: bool) -> dict[str, str]:
    try:
        value = json.loads(base64.b64decode(text.encode(), altchars=b"-_", validate=True))
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise TypeError
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        if strict:
            raise Refusal(400, "cannot decode attributes") from error
        return {}
    return value


def _checked(claims: Claims, limits: Limits) -> str:
    video = claims.video
    if video is None:
        raise Refusal(401, NO_PERMISSIONS)
    if not video.room_join:
        raise Refusal(401, PERMISSION_DENIED)
    if not claims.identity:
        raise Refusal(400, "identity cannot be empty")
    if len(claims.identity.encode()) > limits.identity:
        raise Refusal(400, f"participant identity length exceeds limits: max length {limits.identity}")
    if not video.room:
        raise Refusal(400, "no room name")
    if len(video.room.encode()) > limits.room_name:
        raise Refusal(400, f"room name length exceeds limits: max length {limits.room_name}")
    return video.room


def _merged(claims: Claims, metadata: str, attributes: dict[str, str]) -> Claims:
    if (metadata or attributes) and not (claims.video and claims.video.can_update_own_metadata):
        raise Refusal(401, NO_PERMISSIONS)
    if metadata:
        claims = replace(claims, metadata=metadata)
    if attributes:
        merged = claims.attributes | {key: value for key, value in attributes.items() if value}
        claims = replace(claims, attributes=merged)
    return claims


def parse_request(
    query: Mapping[str, str], claims: Claims | None, limits: Limits, *, version_1: bool, strict: bool
) -> ConnectRequest:
    """Validate a request to connect, in the order in which the real server checks.

    Args:
        query: The query parameters.
        claims: What the token says; `None` without a token.
        limits: Sizes above which the request is refused.
        version_1: Whether a join request is required.
        strict: Whether malformed attributes are refused (they are by `validate`).

    Raises:
        Refusal: The request is refused, with the real server's status and body.
    """
    if claims is None or claims.video is None:
        raise Refusal(401, NO_PERMISSIONS)
    text = query.get("join_request", "")
    if text:
        join = _join_request(text, limits)
        room = _checked(claims, limits)
        settings = join.connection_settings
        return ConnectRequest(
            room=room,
            claims=_merged(claims, join.metadata, dict(join.participant_attributes)),
            client=join.client_info,
            single_peer_connection=True,
            auto_subscribe=settings.auto_subscribe,
            auto_subscribe_data_track=settings.auto_subscribe_data_track,
            adaptive_stream=settings.adaptive_stream,
            reconnect=join.reconnect,
            participant_sid=join.participant_sid,
            reconnect_reason=join.reconnect_reason,
            publisher_offer=join.publisher_offer if join.HasField("publisher_offer") else None,
            add_tracks=list(join.add_track_requests),
            sync_state=join.sync_state if join.HasField("sync_state") else None,
        )
    if version_1:
        raise Refusal(400, "join_request is required")
    attributes = _attributes(query["attributes"], strict=strict) if query.get("attributes") else {}
    room = _checked(claims, limits)
    reconnect = _true(query.get("reconnect", ""))
    return ConnectRequest(
        room=room,
        claims=_merged(claims, "", attributes),
        client=_client_info(query),
        single_peer_connection=False,
        auto_subscribe=_true(query.get("auto_subscribe") or "1"),
        auto_subscribe_data_track=_true(query.get("auto_subscribe_data_track", "")),
        adaptive_stream=_true(query.get("adaptive_stream", "")),
        reconnect=reconnect,
        participant_sid=query.get("sid", "") if reconnect else "",
        reconnect_reason=_number(query.get("reconnect_reason", "")),
    )
