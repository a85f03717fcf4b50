"""Access tokens: reading them as the real server does, and making them.

A token is a JWT signed with HS256. The rules are those of LiveKit's `auth` package (`pkg/service/auth.go` of the
server shows the order of the checks): only HS256 is taken, the issuer names the API key, `nbf` and `exp` are checked
with a minute of leeway, and missing grants have defaults.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field, replace
from typing import Any, cast

from livekit.protocol import models

from aiolivekit.core.access_token import sign_claims

__all__ = ["Claims", "TokenError", "VideoGrants", "read_token", "sign_token"]

LEEWAY = 60.0
"""Seconds by which clocks may differ (the default of the JWT library the real server uses)."""

MAX_TOKEN_SIZE = 64 * 1024
"""Longer tokens are refused unread; the real server's HTTP header limit is of this order."""

_SOURCE_NAMES = {
    "camera": models.TrackSource.CAMERA,
    "microphone": models.TrackSource.MICROPHONE,
    "screen_share": models.TrackSource.SCREEN_SHARE,
    "screen_share_audio": models.TrackSource.SCREEN_SHARE_AUDIO,
}
_SOURCE_OF_NUMBER = {number: name for name, number in _SOURCE_NAMES.items()}


class TokenError(Exception):
    """The token is refused (401); the text is what the real server answers.

    The real server quotes the token in the answer to the one who sent it, so the text may hold it: answer with it,
    never log it.
    """


@dataclass(frozen=True)
class VideoGrants:
    """What the bearer may do; the names and defaults are those of LiveKit's `VideoGrant`."""

    room_join: bool = False
    room: str = ""
    room_create: bool = False
    room_list: bool = False
    room_admin: bool = False
    room_record: bool = False
    destination_room: str = ""
    can_publish: bool = True
    can_subscribe: bool = True
    can_publish_data: bool = True
    can_publish_sources: tuple[models.TrackSource, ...] = ()
    can_update_own_metadata: bool = False
    can_subscribe_metrics: bool = False
    hidden: bool = False
    recorder: bool = False
    agent: bool = False

    def allows_source(self, source: models.TrackSource) -> bool:
        """Whether a track of this `TrackSource` may be published."""
        return self.can_publish and (not self.can_publish_sources or source in self.can_publish_sources)

    def to_permission(self) -> models.ParticipantPermission:
        """Return the grants in the form participants see."""
        return models.ParticipantPermission(
            can_subscribe=self.can_subscribe,
            can_publish=self.can_publish,
            can_publish_data=self.can_publish_data,
            can_publish_sources=self.can_publish_sources,
            hidden=self.hidden,
            recorder=self.recorder,
            agent=self.agent,
            can_update_metadata=self.can_update_own_metadata,
            can_subscribe_metrics=self.can_subscribe_metrics,
        )

    def with_permission(self, permission: models.ParticipantPermission) -> VideoGrants:
        """Return the grants after an administrator set `permission`."""
        return replace(
            self,
            can_subscribe=permission.can_subscribe,
            can_publish=permission.can_publish,
            can_publish_data=permission.can_publish_data,
            can_publish_sources=tuple(permission.can_publish_sources),
            hidden=permission.hidden,
            recorder=permission.recorder,
            agent=permission.agent,
            can_update_own_metadata=permission.can_update_metadata,
            can_subscribe_metrics=permission.can_subscribe_metrics,
        )


@dataclass(frozen=True)
class Claims:
    """What a verified token says."""

    identity: str = ""
    name: str = ""
    metadata: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    kind: str = ""
    video: VideoGrants | None = None
    room_config: dict[str, Any] = field(default_factory=dict)
    expires_at: float | None = None

    @property
    def participant_kind(self) -> models.ParticipantInfo.Kind:
        """The `ParticipantInfo.Kind` that `kind` names; standard when it names none."""
        if self.kind.upper() in models.ParticipantInfo.Kind.keys():  # noqa: SIM118 - a protobuf wrapper, no mapping
            return cast(models.ParticipantInfo.Kind, models.ParticipantInfo.Kind.Value(self.kind.upper()))
        return models.ParticipantInfo.Kind.STANDARD


def _decode(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _object(data: bytes) -> dict[str, Any]:
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value else None


def _grants(video: dict[str, Any]) -> VideoGrants:
    def flag(name: str, *, default: bool = False) -> bool:
        value = video.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise TypeError(name)
        return value

    can_publish = flag("canPublish", default=True)
    names = video.get("canPublishSources")
    return VideoGrants(
        room_join=flag("roomJoin"),
        room=_text(video.get("room")),
        room_create=flag("roomCreate"),
        room_list=flag("roomList"),
        room_admin=flag("roomAdmin"),
        room_record=flag("roomRecord"),
        destination_room=_text(video.get("destinationRoom")),
        can_publish=can_publish,
        can_subscribe=flag("canSubscribe", default=True),
        can_publish_data=flag("canPublishData", default=can_publish),
        can_publish_sources=tuple(
            _SOURCE_NAMES.get(_text(name), models.TrackSource.UNKNOWN)
            for name in (names if isinstance(names, list) else ())
        ),
        can_update_own_metadata=flag("canUpdateOwnMetadata"),
        can_subscribe_metrics=flag("canSubscribeMetrics"),
        hidden=flag("hidden"),
        recorder=flag("recorder"),
        agent=flag("agent"),
    )


def read_token(token: str, keys: dict[str, str], now: float | None = None) -> Claims:
    """Verify a token and return what it says.

    Args:
        token: The JWT.
        keys: API secrets by API key.
        now: Seconds since the epoch; the present when left out.

    Raises:
        TokenError: The token is malformed, signed otherwise, expired or not valid yet.
    """
    now = time.time() if now is None else now
    malformed = TokenError("invalid authorization token")
    if len(token) > MAX_TOKEN_SIZE:
        raise malformed
    try:
        head, body, tail = token.split(".")
        header, payload, signature = _object(_decode(head)), _object(_decode(body)), _decode(tail)
    except (ValueError, binascii.Error, RecursionError) as error:
        raise malformed from error
    key = _text(payload.get("iss"))
    secret = keys.get(key)
    if not secret:
        raise TokenError(f"invalid API key: {key}")

    def refusal(why: str) -> TokenError:
        return TokenError(f"invalid token: {token}, error: {why}")

    # The algorithm is fixed; the header only has to agree. So "none" or a public-key algorithm is no way in.
    algorithm = header.get("alg")
    if algorithm != "HS256":
        raise refusal(f"token signature is invalid: signing method {_text(algorithm)} is invalid")
    expected = hmac.new(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(expected, signature):
        raise refusal("token signature is invalid: signature is invalid")
    not_before, expires_at = _time(payload.get("nbf")), _time(payload.get("exp"))
    if expires_at is not None and now - LEEWAY > expires_at:
        raise refusal("token has invalid claims: token is expired")
    if not_before is not None and now + LEEWAY < not_before:
        raise refusal("token has invalid claims: token is not valid yet")
    try:
        return _claims(payload, expires_at)
    except TypeError as error:
        raise refusal(f"token is malformed: could not JSON decode claim {error}") from error


def _claims(payload: dict[str, Any], expires_at: float | None) -> Claims:
    video, attributes, room_config = (payload.get(name) for name in ("video", "attributes", "roomConfig"))
    return Claims(
        identity=_text(payload.get("identity")) or _text(payload.get("sub")),
        name=_text(payload.get("name")),
        metadata=_text(payload.get("metadata")),
        attributes={key: _text(value) for key, value in attributes.items()} if isinstance(attributes, dict) else {},
        kind=_text(payload.get("kind")),
        video=_grants(video) if isinstance(video, dict) else None,
        room_config=room_config if isinstance(room_config, dict) else {},
        expires_at=expires_at,
    )


def _video_claim(grants: VideoGrants) -> dict[str, Any]:
    plain = {
        "roomCreate": grants.room_create,
        "roomList": grants.room_list,
        "roomAdmin": grants.room_admin,
        "roomRecord": grants.room_record,
        "hidden": grants.hidden,
        "recorder": grants.recorder,
        "agent": grants.agent,
        "canSubscribeMetrics": grants.can_subscribe_metrics,
    }
    claim: dict[str, Any] = {
        "roomJoin": grants.room_join,
        "room": grants.room,
        "canPublish": grants.can_publish,
        "canSubscribe": grants.can_subscribe,
        "canPublishData": grants.can_publish_data,
        "canUpdateOwnMetadata": grants.can_update_own_metadata,
        **{name: True for name, value in plain.items() if value},
    }
    if grants.can_publish_sources:
        claim["canPublishSources"] = [
            _SOURCE_OF_NUMBER[source] for source in grants.can_publish_sources if source in _SOURCE_OF_NUMBER
        ]
    if grants.destination_room:
        claim["destinationRoom"] = grants.destination_room
    return claim


def sign_token(
    claims: Claims, key: str, secret: str, *, valid_for: float = 6 * 3600.0, now: float | None = None
) -> str:
    """Return a token that says `claims`.

    Args:
        claims: What it says; its `expires_at` is ignored.
        key: The API key.
        secret: The API secret.
        valid_for: Seconds until it expires; negative for one that has expired.
        now: Seconds since the epoch; the present when left out.
    """
    now = time.time() if now is None else now
    payload: dict[str, Any] = {
        "iss": key,
        "sub": claims.identity,
        "iat": int(now),
        "nbf": int(min(now, now + valid_for)),
        "exp": int(now + valid_for),
        "identity": claims.identity,
        "name": claims.name,
        "metadata": claims.metadata,
        "attributes": claims.attributes,
        "kind": claims.kind,
        "video": _video_claim(claims.video) if claims.video is not None else None,
        "roomConfig": claims.room_config,
    }
    payload = {name: value for name, value in payload.items() if value or name in ("iss", "sub", "exp", "nbf")}
    return sign_claims(payload, secret)
