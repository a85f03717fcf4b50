"""`SimulateScenario`: what clients may ask to go wrong."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

if TYPE_CHECKING:
    from aiolivekit.server.participant import Participant
    from aiolivekit.server.room import Room

__all__ = ["Simulations"]

RESUME_WINDOW = 5.0
"""Seconds within which a resume is disturbed after the client asked for it."""

REFUSALS = 3
"""Resumes that end without a message."""


class Simulations:
    """The scenarios of a room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._disconnects: dict[str, float] = {}
        self._silent: dict[str, tuple[float, int]] = {}
        self._tcp_only: set[str] = set()

    def run(self, participant: Participant, request: rtc.SimulateScenario) -> None:
        """Start a scenario."""
        scenario = request.WhichOneof("scenario")
        reasons = models.DisconnectReason
        if scenario == "speaker_update":
            self._speaker(participant, request.speaker_update)
        elif scenario == "migration":
            participant.close(reasons.MIGRATION, send_leave=False)
        elif scenario == "node_failure":
            participant.close(reasons.SERVER_SHUTDOWN, send_leave=False)
        elif scenario == "server_leave":
            participant.close(reasons.SERVER_SHUTDOWN)
        elif scenario == "leave_request_full_reconnect":
            participant.full_reconnect(reasons.UNKNOWN_REASON)
        elif scenario == "switch_candidate_protocol":
            self._switch_protocol(participant, request.switch_candidate_protocol)
        elif scenario == "disconnect_signal_on_resume":
            self._disconnects[participant.identity] = time.monotonic() + RESUME_WINDOW
        elif scenario == "disconnect_signal_on_resume_no_messages":
            self._silent[participant.identity] = (time.monotonic() + RESUME_WINDOW, REFUSALS)

    def _switch_protocol(self, participant: Participant, protocol: rtc.CandidateProtocol) -> None:
        # There is no TURN here, so TLS means TCP.
        if protocol == rtc.CandidateProtocol.UDP:
            self._tcp_only.discard(participant.identity)
        else:
            self._tcp_only.add(participant.identity)
        if participant.subscriber is not None:
            participant.subscriptions.send_offer(restart=True)

    def tcp_only(self, identity: str) -> bool:
        """Whether a participant is offered TCP only, also in its next session."""
        return identity in self._tcp_only

    def _speaker(self, participant: Participant, seconds: int) -> None:
        def say(level: float) -> None:
            speaker = models.SpeakerInfo(sid=participant.sid, level=level, active=level > 0)
            self._room.send_speakers([speaker])

        say(0.9)
        asyncio.get_running_loop().call_later(max(0, min(seconds, 3600)), say, 0.0)

    def disconnects_on_resume(self, identity: str) -> bool:
        """Whether this resume's connection is to be closed after its first message."""
        until = self._disconnects.pop(identity, None)
        return until is not None and time.monotonic() < until

    def silences_resume(self, identity: str) -> bool:
        """Whether this resume is to fail before any message."""
        until, left = self._silent.get(identity, (0.0, 0))
        if left <= 0 or time.monotonic() >= until:
            self._silent.pop(identity, None)
            return False
        # The real server tries three times by itself before it answers with an error, which uses all up at once.
        self._silent.pop(identity, None)
        return True
