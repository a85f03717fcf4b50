"""Access tokens as LiveKit's server reads them: a JWT signed with the API secret (HS256).

Claims and grants: `auth/grants.go` of github.com/livekit/protocol. The server allows a leeway of one minute
on both ends of the validity.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["access_token", "sign_claims"]


def sign_claims(claims: Mapping[str, Any], secret: str) -> str:
    """Return a JWT of these claims, signed with HS256 (RFC 7519, RFC 7515)."""
    signed = ".".join(_part(part) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64url(signature)}"


def _part(value: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def access_token(
    api_key: str,
    api_secret: str,
    identity: str,
    *,
    room: str = "",
    name: str | None = None,
    metadata: str | None = None,
    attributes: Mapping[str, str] | None = None,
    kind: str | None = None,
    room_join: bool = True,
    room_admin: bool = False,
    room_create: bool = False,
    room_list: bool = False,
    can_publish: bool = True,
    can_subscribe: bool = True,
    can_publish_data: bool = True,
    can_publish_sources: Sequence[str] | None = None,
    can_update_own_metadata: bool = True,
    hidden: bool = False,
    valid_from: datetime | None = None,
    ttl: float | timedelta = 6 * 3600,
) -> str:
    """Return a signed token.

    Args:
        api_key: The key the server knows the secret by; it becomes the issuer.
        api_secret: The secret of that key.
        identity: Who the participant is; at most one of an identity is in a room.
        room: The room the grants are for.
        name: The name shown to others.
        metadata: The participant's metadata.
        attributes: The participant's attributes.
        kind: `standard`, `agent`, `sip`, `egress` or `ingress`; `standard` when `None`.
        room_join: Whether the token allows to join the room.
        room_admin: Whether it allows to administer the room (RoomService).
        room_create: Whether it allows to create and delete rooms (RoomService).
        room_list: Whether it allows to list rooms (RoomService).
        can_publish: Whether the participant may publish tracks.
        can_subscribe: Whether the participant may subscribe to tracks.
        can_publish_data: Whether the participant may send data.
        can_publish_sources: The only sources it may publish (`camera`, `microphone`, `screen_share`,
            `screen_share_audio`); with `None` any source.
        can_update_own_metadata: Whether it may change its own metadata, name and attributes.
        hidden: Whether the others do not see it.
        valid_from: The start of the validity; now when `None`.
        ttl: How long the token is valid, in seconds or as a `timedelta`; a negative one has expired.
    """
    start = valid_from if valid_from is not None else datetime.now(UTC)
    lifetime = ttl if isinstance(ttl, timedelta) else timedelta(seconds=ttl)
    video: dict[str, Any] = {
        "roomJoin": room_join,
        "room": room,
        "canPublish": can_publish,
        "canSubscribe": can_subscribe,
        "canPublishData": can_publish_data,
        "canUpdateOwnMetadata": can_update_own_metadata,
        "roomAdmin": room_admin,
        "roomCreate": room_create,
        "roomList": room_list,
        "hidden": hidden,
    }
    if can_publish_sources is not None:
        video["canPublishSources"] = list(can_publish_sources)
    optional = {"name": name, "metadata": metadata, "kind": kind}
    claims: dict[str, Any] = {
        "iss": api_key,
        "sub": identity,
        # The server looks at whole seconds.
        "nbf": int(start.timestamp()),
        "exp": int((start + lifetime).timestamp()),
        "video": video,
        **{key: value for key, value in optional.items() if value is not None},
    }
    if attributes:
        claims["attributes"] = dict(attributes)
    return sign_claims(claims, api_secret)
