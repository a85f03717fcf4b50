"""What is wrong with a token, and what to do about it."""

from __future__ import annotations

from ..inspection import format_duration
from .findings import TokenFinding, Verdict

__all__ = ["judge_token"]

_SOON = 300.0

_MAKE_ANEW = "Make a new one, with `aiolivekit token` or where your program makes it."


def judge_token(finding: TokenFinding) -> Verdict:
    """Judge a token by what it says and by what the server says to it."""
    facts = {
        "identity": finding.identity or None,
        "room": finding.room or None,
        "may": list(finding.may),
        "expires_in": None if finding.ends_in is None else round(finding.ends_in),
        "server_says": finding.server_words or None,
    }
    if finding.unreadable:
        return Verdict("failed", f"this is no access token: {finding.unreadable}", _MAKE_ANEW, facts)
    who = f"{finding.identity or 'nobody'} in the room {finding.room or '-'}, may {', '.join(finding.may) or 'nothing'}"
    if finding.refusal:
        words, advice = _refused(finding)
        return Verdict("failed", words, advice, facts)
    if finding.ends_in is not None and finding.ends_in < 0:
        # The server allows a minute.
        words = f"it expired {format_duration(-finding.ends_in)} ago, and is still taken"
        return Verdict("warning", words, _MAKE_ANEW, facts)
    if finding.begins_in is not None and finding.begins_in > 0:
        words = f"it is valid from in {format_duration(finding.begins_in)} on, and taken already"
        return Verdict("warning", words, "See the check of the clock.", facts)
    if finding.ends_in is None:
        return Verdict("passed", who, facts=facts)
    words = f"{who}; expires in {format_duration(finding.ends_in)}"
    if finding.ends_in < _SOON and not finding.made:
        return Verdict("warning", words, "Who joins later than that needs a new one.", facts)
    return Verdict("passed", words, facts=facts)


def _refused(finding: TokenFinding) -> tuple[str, str]:
    if finding.begins_in is not None and finding.begins_in > 0:
        return (
            f"it is not valid until in {format_duration(finding.begins_in)}, by the server's clock",
            "The clock of the machine that made it is ahead of the server's: set it (NTP).",
        )
    match finding.refusal:
        case "TokenExpiredError":
            since = "" if finding.ends_in is None else f" {format_duration(abs(finding.ends_in))} ago"
            return f"it has expired{since}", f"{_MAKE_ANEW} If it is a fresh one, a clock is wrong."
        case "PermissionDeniedError":
            return (
                f"it does not allow to join{_said(finding)}",
                "The token needs the grant roomJoin, the room and an identity.",
            )
        case "RoomNotFoundError":
            return (
                f"there is no room {finding.room}, and the server makes none",
                "Create it first, or set room.auto_create; --room names another one for a token that is made here.",
            )
        case "InvalidTokenError":
            if finding.made:
                advice = "Key and secret are not a pair that this server knows: compare them with its configuration."
            else:
                advice = (
                    "It was made with another key or secret than this server's, or was cut or changed: "
                    "`aiolivekit token --inspect` with the secret tells which."
                )
            return f"the server refuses it{_said(finding)}", advice
        case _:
            return f"the server does not take it{_said(finding)}", "The reason is in the server's log."


def _said(finding: TokenFinding) -> str:
    return f" ({finding.server_words})" if finding.server_words else ""
