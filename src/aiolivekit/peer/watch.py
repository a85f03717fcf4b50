"""What a peer connection's own parts say of their states: ICE, DTLS, the path that was chosen.

Only the flight recorder wants to know it all; decisions rest on the connection's state alone. While the connection is
being made, the parts are looked at when the whole changes, which costs nothing. To listen to each of them costs a
millisecond, a tenth of a join, so it is begun when the connection has stood for a moment: what is learned from then on
(a path that fails, another one, an ICE restart) is what resumes are about.
"""

from __future__ import annotations

import asyncio
from typing import Any

import webrtc

from ..core.flight import FlightTap

__all__ = ["StateWatch"]

_MOMENT = 0.5
"""Seconds a connection stands before its parts are listened to."""


class StateWatch:
    """Writes down changes of state of one peer connection, without addresses.

    Args:
        name: Of the connection.
        pc: The connection.
        flight: Where.
    """

    __slots__ = ("_flight", "_ice", "_name", "_pc", "_soon", "_transport")

    def __init__(self, name: str, pc: webrtc.RTCPeerConnection, flight: FlightTap) -> None:
        self._name = name
        self._pc = pc
        self._flight = flight
        self._soon: asyncio.TimerHandle | None = None
        self._transport: webrtc.RTCDtlsTransport | None = None
        self._ice: webrtc.RTCIceTransport | None = None

    def changed(self) -> None:
        """Take note that the connection as a whole has changed its state."""
        if not self._flight.on:
            return
        pc = self._pc
        state = pc.connection_state.value
        self._flight.note(
            "peers",
            "peer",
            peer=self._name,
            state=state,
            ice=pc.ice_connection_state.value,
            gathering=pc.ice_gathering_state.value,
        )
        if state == "connected" and self._transport is None and self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(_MOMENT, self._listen)

    def close(self) -> None:
        """Watch no more; called before the connection is closed."""
        if self._soon is not None:
            self._soon.cancel()
        for each in (self._transport, self._ice):
            if each is not None:
                each.off()
        if self._flight.on:
            ice = self._pc.ice_connection_state.value
            self._flight.note("peers", "peer", peer=self._name, state="closed", ice=ice)

    def _listen(self) -> None:
        pc = self._pc
        if pc.sctp is None:
            return
        # One transport carries everything: we bundle.
        self._transport = transport = pc.sctp.transport
        self._ice = ice = transport.ice_transport
        pc.on("iceconnectionstatechange", lambda _event: self._note("ice", pc.ice_connection_state))
        pc.on("icegatheringstatechange", lambda _event: self._note("gathering", pc.ice_gathering_state))
        transport.on("statechange", lambda _event: self._note("dtls", transport.state))
        ice.on("selectedcandidatepairchange", lambda _event: self._path_chosen(ice))
        self._note("dtls", transport.state)
        self._path_chosen(ice)

    def _note(self, what: str, state: Any) -> None:
        self._flight.note("peers", what, peer=self._name, state=state.value)

    def _path_chosen(self, ice: webrtc.RTCIceTransport) -> None:
        pair = ice.get_selected_candidate_pair()
        if pair is None:
            return
        local, remote = pair.local, pair.remote
        self._flight.note(
            "peers",
            "path",
            peer=self._name,
            candidate=_value(local.type),
            remote_candidate=_value(remote.type),
            transport=_value(local.protocol),
        )


def _value(value: Any) -> str | None:
    return None if value is None else str(value.value)
