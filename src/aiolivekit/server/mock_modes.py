"""The modes of LiveKit's signalling mock (`cmd/test-server`), asked for by the token attribute `lk.mock`.

The attribute holds a JSON object: `signal` names the mode, `leaveAction` (a number or a name) what leave requests say.
Unlike the mock, a mode that lets the client join gives it a real session with media.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from livekit.protocol import rtc

__all__ = ["ATTRIBUTE", "MODES", "MockMode", "read_mode"]

ATTRIBUTE = "lk.mock"

CONNECTED_DELAY = 0.2
BEFORE_JOIN_DELAY = 0.05
"""Seconds until a mode acts after the join, and before it; the mock's."""

PING_INTERVAL, PING_TIMEOUT = 1, 3
"""Seconds a client in a mode is told, so that tests of silence are short; the mock's."""

MODES = (
    "happy",
    "validate_500",
    "validate_service_not_found",
    "room_not_found",
    "no_first_message",
    "no_pong",
    "close_before_join",
    "close_when_connected",
    "drop_when_connected",
    "leave_when_connected",
    "leave_first_message",
    "leave_during_reconnect",
    "drop_on_close",
)

_REFUSALS = {
    "validate_500": (500, "internal server error"),
    "validate_service_not_found": (404, "404 page not found"),
    "room_not_found": (404, "requested room does not exist"),
}


@dataclass(frozen=True)
class MockMode:
    """A mode and what it says in leave requests."""

    name: str
    leave_action: rtc.LeaveRequest.Action

    @property
    def refusal(self) -> tuple[int, str] | None:
        """The status and body with which it refuses connections."""
        return _REFUSALS.get(self.name)


def _action(value: object) -> rtc.LeaveRequest.Action:
    actions = rtc.LeaveRequest.Action
    if isinstance(value, str) and value.upper() in actions.keys():  # noqa: SIM118 - a protobuf wrapper, no mapping
        return cast(rtc.LeaveRequest.Action, actions.Value(value.upper()))
    if isinstance(value, int) and not isinstance(value, bool) and value in actions.values():
        return cast(rtc.LeaveRequest.Action, value)
    return actions.DISCONNECT


def read_mode(attributes: Mapping[str, str]) -> MockMode | None:
    """Return the mode a token asks for; `None` when it asks for none."""
    text = attributes.get(ATTRIBUTE)
    if not text:
        return None
    try:
        control = json.loads(text)
    except (ValueError, RecursionError):
        control = None
    if not isinstance(control, dict):
        control = {}
    name = control.get("signal")
    return MockMode(name if name in MODES else "happy", _action(control.get("leaveAction")))
