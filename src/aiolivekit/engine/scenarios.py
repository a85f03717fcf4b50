"""Faults on request (`livekit.SimulateScenario` and those that are made locally)."""

from __future__ import annotations

from livekit.protocol import rtc

from ..enums import DisconnectReason, SimulateScenarioKind
from ..session.events import SessionClosed
from ..session.session import RtcSession
from ..signalling.client import SignalClosed

__all__ = ["simulate"]

_SPEAKER_SECONDS = 3
_Kind = SimulateScenarioKind
_RECONNECT = rtc.LeaveRequest.Action.RECONNECT

_BY_SERVER = {
    _Kind.SIMULATE_SPEAKER: rtc.SimulateScenario(speaker_update=_SPEAKER_SECONDS),
    _Kind.SIMULATE_NODE_FAILURE: rtc.SimulateScenario(node_failure=True),
    _Kind.SIMULATE_SERVER_LEAVE: rtc.SimulateScenario(server_leave=True),
    _Kind.SIMULATE_MIGRATION: rtc.SimulateScenario(migration=True),
    _Kind.SIMULATE_FORCE_TCP: rtc.SimulateScenario(switch_candidate_protocol=rtc.CandidateProtocol.TCP),
    _Kind.SIMULATE_FORCE_TLS: rtc.SimulateScenario(switch_candidate_protocol=rtc.CandidateProtocol.TLS),
    _Kind.SIMULATE_DISCONNECT_SIGNAL_ON_RESUME: rtc.SimulateScenario(disconnect_signal_on_resume=True),
}
_THEN_RESTART = {_Kind.SIMULATE_FORCE_TCP, _Kind.SIMULATE_FORCE_TLS, _Kind.SIMULATE_FULL_RECONNECT}
"""The server only takes note of another candidate protocol; the next join uses it."""
_THEN_CUT = {_Kind.SIMULATE_SIGNAL_RECONNECT, _Kind.SIMULATE_DISCONNECT_SIGNAL_ON_RESUME}


async def simulate(session: RtcSession, scenario: SimulateScenarioKind) -> None:
    """Provoke a fault in a session.

    Raises:
        SignalClosedError: If the signalling link is lost.
    """
    request = _BY_SERVER.get(scenario)
    if request is not None:
        await session.send(rtc.SignalRequest(simulate=request))
    if scenario in _THEN_RESTART:
        session.lose(
            SessionClosed("leave", DisconnectReason.UNKNOWN_REASON, _RECONNECT, retry_now=True, detail="simulated")
        )
    elif scenario in _THEN_CUT:
        session.signal.abandon()
        session.on_signal_closed(SignalClosed(source="transport", code=None, detail="simulated"))
