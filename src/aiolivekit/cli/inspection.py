"""What an access token says, read without trusting it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import jwt

from .masking import short_secrets_allowed
from .output import printable

__all__ = ["TokenReport", "format_duration", "inspect_token"]

Signature = Literal["not checked", "valid", "not valid"]

# What is granted when the token does not say (`auth/grants.go` of github.com/livekit/protocol).
_GRANTS: tuple[tuple[str, str, bool], ...] = (
    ("roomJoin", "join the room", False),
    ("canPublish", "publish tracks", True),
    ("canSubscribe", "subscribe to tracks", True),
    ("canPublishData", "send data", True),
    ("canUpdateOwnMetadata", "change its metadata", False),
    ("roomAdmin", "administer the room", False),
    ("roomCreate", "create rooms", False),
    ("roomList", "list rooms", False),
    ("roomRecord", "record rooms", False),
    ("ingressAdmin", "administer ingress", False),
    ("hidden", "stay hidden", False),
    ("recorder", "record as a participant", False),
    ("agent", "serve as an agent", False),
    ("canSubscribeMetrics", "subscribe to metrics", False),
)


@dataclass(frozen=True, slots=True)
class TokenReport:
    """What a token says.

    Attributes:
        claims: All of it.
        algorithm: How it is signed.
        signature: Whether the signature was checked, and what came of it.
        valid_from: When it begins to be valid, if it says so.
        expires: When it ceases to be.
    """

    claims: dict[str, Any]
    algorithm: str
    signature: Signature
    valid_from: datetime | None
    expires: datetime | None

    @property
    def grants(self) -> dict[str, Any]:
        """The `video` claim."""
        video = self.claims.get("video")
        return video if isinstance(video, dict) else {}

    def state(self, now: datetime) -> str:
        """Return `valid`, `expired`, `not valid yet`, or `without expiry`."""
        if self.valid_from is not None and now < self.valid_from:
            return "not valid yet"
        if self.expires is None:
            return "without expiry"
        return "valid" if now < self.expires else "expired"

    def may(self) -> tuple[list[str], list[str]]:
        """Return what the token allows and what it does not, of the grants that joining is about."""
        allowed, denied = [], []
        for key, words, default in _GRANTS:
            value = self.grants.get(key)
            if value is None:
                # Sending data follows publishing where it is not mentioned.
                value = self.grants.get("canPublish", True) if key == "canPublishData" else default
            if value is True:
                allowed.append(words)
            elif default or key in ("roomJoin", "canUpdateOwnMetadata"):
                denied.append(words)
        return allowed, denied

    def rows(self, now: datetime) -> list[tuple[str, str, str]]:
        """Return label, text and style of each line to show."""
        claims, grants = self.claims, self.grants
        allowed, denied = self.may()
        state = self.state(now)
        rows = [("identity", _text(claims.get("sub")), ""), ("room", _text(grants.get("room")), "")]
        for label, value in (
            ("name", claims.get("name")),
            ("kind", claims.get("kind")),
            ("metadata", claims.get("metadata")),
            ("attributes", claims.get("attributes")),
        ):
            if value:
                rows.append((label, _text(value), ""))
        rows.append(("may", ", ".join(allowed) or "nothing", "green"))
        if denied:
            rows.append(("may not", ", ".join(denied), "yellow"))
        if grants.get("canPublishSources"):
            rows.append(("sources", _text(grants["canPublishSources"]), ""))
        if self.valid_from is not None:
            rows.append(("valid from", _moment(self.valid_from, now), ""))
        if self.expires is not None:
            rows.append(("expires", _moment(self.expires, now), ""))
        rows.append(("state", state, "green" if state == "valid" else "bold red"))
        rows.append(("API key", _text(claims.get("iss")), ""))
        styles = {"not checked": "dim", "valid": "green", "not valid": "bold red"}
        words = {
            "not checked": "not checked (no secret given)",
            "valid": "made with the given secret",
            "not valid": "not made with the given secret",
        }
        rows.append(("signature", f"{self.algorithm}, {words[self.signature]}", styles[self.signature]))
        return rows

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "identity": self.claims.get("sub"),
            "room": self.grants.get("room"),
            "state": self.state(now),
            "valid_from": self.valid_from.isoformat() if self.valid_from else None,
            "expires": self.expires.isoformat() if self.expires else None,
            "signature": self.signature,
            "claims": self.claims,
        }


def inspect_token(token: str, api_secret: str | None = None) -> TokenReport:
    """Read a token without verifying it; with a secret, say also whether the signature is made with it.

    Raises:
        ValueError: If it is no token; the message does not quote it.
    """
    try:
        decoded = jwt.decode_complete(token, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise ValueError(_reason(error)) from None
    claims, algorithm = decoded["payload"], str(decoded["header"].get("alg", "unsigned"))
    signature: Signature = "not checked"
    if api_secret:
        signature = "valid" if _is_signed_with(token, api_secret) else "not valid"
    return TokenReport(claims, algorithm, signature, _time(claims.get("nbf")), _time(claims.get("exp")))


def _is_signed_with(token: str, api_secret: str) -> bool:
    # The signature alone: the times are shown apart.
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
    try:
        with short_secrets_allowed():
            jwt.decode(token, api_secret, algorithms=["HS256"], options=options)
    except jwt.PyJWTError:
        return False
    return True


def _reason(error: Exception) -> str:
    text = str(error)
    if "segments" in text:
        return "it does not have three parts with dots between them"
    return "its parts cannot be decoded"


def _time(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _text(value: object) -> str:
    if value is None or value == "":
        return "-"
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _moment(moment: datetime, now: datetime) -> str:
    seconds = (moment - now).total_seconds()
    distance = f"in {format_duration(seconds)}" if seconds >= 0 else f"{format_duration(-seconds)} ago"
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z} ({distance})"


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units: `5 h 59 min`."""
    rest = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
