"""The HTTP edge: `/rtc`, `/rtc/v1`, their `validate`, and the WebSocket sessions behind them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web
from livekit.protocol import models, rtc

from aiolivekit.server.codecs import PUBLISH_CODECS
from aiolivekit.server.connection import SignalConnection
from aiolivekit.server.mock_modes import (
    BEFORE_JOIN_DELAY,
    CONNECTED_DELAY,
    PING_INTERVAL,
    PING_TIMEOUT,
    MockMode,
    read_mode,
)
from aiolivekit.server.participant import Participant
from aiolivekit.server.requests import ConnectRequest, Refusal, parse_request
from aiolivekit.server.signalling import handle_request, synchronise
from aiolivekit.server.tokens import Claims, TokenError, read_token

if TYPE_CHECKING:
    from aiolivekit.server.dev_server import ServerCore

__all__ = ["RtcEndpoints"]

_log = logging.getLogger("aiolivekit.server")

BEARER = "Bearer "

_CORS = {"Access-Control-Allow-Origin": "*"}
_DISCARDED = 15.0


def authenticate(request: web.Request, core: ServerCore) -> Claims | None:
    """Return what the request's token says, `None` without a token; raises `Refusal` for a bad one."""
    header = request.headers.get("Authorization", "")
    if header:
        if not header.startswith(BEARER):
            raise Refusal(401, f"invalid authorization header. Must start with {BEARER}")
        token = header[len(BEARER) :]
    else:
        token = request.query.get("access_token", "")
    if not token:
        return None
    try:
        claims = read_token(token, core.keys)
    except TokenError as error:
        raise Refusal(401, str(error)) from error
    if core.faults.token_expired(claims):
        raise Refusal(401, f"invalid token: {token}, error: token has invalid claims: token is expired")
    return claims


class RtcEndpoints:
    """The routes of clients."""

    def __init__(self, core: ServerCore) -> None:
        self._core = core

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application."""
        app.router.add_get("/", self._root)
        for path in ("/rtc", "/rtc/v1"):
            app.router.add_get(path, self._connect)
            app.router.add_get(f"{path}/validate", self._validate)

    def add_last_to(self, app: web.Application) -> None:
        """Answer for every path nobody else has."""
        app.router.add_route("*", "/{path:.*}", self._unknown)

    async def _root(self, request: web.Request) -> web.Response:
        return web.Response(text="OK", headers=_CORS)

    async def _unknown(self, request: web.Request) -> web.Response:
        return web.Response(status=404, text="404 page not found\n")

    def _parse(self, request: web.Request, *, strict: bool) -> ConnectRequest:
        claims = authenticate(request, self._core)
        parsed = parse_request(
            request.query,
            claims,
            self._core.options.limits,
            version_1=request.path.startswith("/rtc/v1"),
            strict=strict,
        )
        mode = read_mode(parsed.claims.attributes)
        if mode is not None and mode.refusal is not None:
            raise Refusal(*mode.refusal)
        return parsed

    async def _validate(self, request: web.Request) -> web.Response:
        try:
            self._parse(request, strict=True)
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=refusal.body, headers=_CORS)
        return web.Response(text="success", headers=_CORS)

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        try:
            if request.headers.get("Upgrade", "").lower() != "websocket":
                authenticate(request, self._core)
                return web.Response(status=404, headers=_CORS)
            parsed = self._parse(request, strict=False)
            resumed = self._admit(parsed)
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=refusal.body, headers=_CORS)
        socket = web.WebSocketResponse(
            autoclose=True, autoping=True, max_msg_size=self._core.options.limits.signal_message, timeout=5.0
        )
        try:
            await socket.prepare(request)
        except ConnectionError:  # the client went away while it was waiting
            return socket
        connection = SignalConnection(socket, request, parsed.claims.identity, self._core.faults)
        self._core.connection_began(connection)
        try:
            await self._session(connection, parsed, resumed)
        finally:
            self._core.connection_ended(connection)
        return socket

    def _admit(self, parsed: ConnectRequest) -> Participant | None:
        """Return the session that is resumed, `None` for a join; raises `Refusal`."""
        core, identity = self._core, parsed.claims.identity
        room = core.rooms.get(parsed.room)
        status = core.faults.refusal(identity, resume=parsed.reconnect)
        if status:
            raise Refusal(status, "refused by a fault")
        if parsed.reconnect:
            if status == 0 or room is None:
                return None
            if room.simulations.silences_resume(identity):
                raise Refusal(500, "could not resume")
            # As in the real server the identity decides; the sid the client resumes is not looked at.
            return room.participants.get(identity)
        full = room is not None and 0 < room.max_participants <= len(room.participants)
        if full and room is not None and identity not in room.participants:
            raise Refusal(500, "room has exceeded its max participants")
        return None

    # sessions

    async def _session(self, connection: SignalConnection, parsed: ConnectRequest, resumed: Participant | None) -> None:
        mode = read_mode(parsed.claims.attributes)
        if mode is not None and await self._mocked_start(connection, parsed, mode):
            return
        if parsed.reconnect and resumed is None:
            leave = rtc.LeaveRequest(
                reason=models.DisconnectReason.STATE_MISMATCH, action=rtc.LeaveRequest.Action.RECONNECT
            )
            connection.send(rtc.SignalResponse(leave=leave))
            connection.close(code=None)
            await connection.serve(lambda _: None)
            return
        if resumed is not None and not resumed.ended:
            participant = resumed
            participant.resume(connection)
            if parsed.sync_state is not None:
                synchronise(participant, parsed.sync_state)
            if parsed.publisher_offer is not None:
                participant.publishing.handle_offer(parsed.publisher_offer)
        else:
            participant = self._join(connection, parsed, mode)
        timer = None
        if mode is not None:
            self._mocked_later(connection, participant, mode)
            timer = asyncio.get_running_loop().call_later(
                CONNECTED_DELAY, self._mocked_connected, connection, participant, mode
            )
        try:
            await connection.serve(lambda request: handle_request(participant, request))
        finally:
            if timer is not None:
                timer.cancel()
            participant.detached(connection)

    def _join(self, connection: SignalConnection, parsed: ConnectRequest, mode: MockMode | None) -> Participant:
        core = self._core
        room = core.room_for(parsed)
        before = room.participants.get(parsed.claims.identity)
        if before is not None:
            before.close(models.DisconnectReason.DUPLICATE_IDENTITY)
        participant = Participant(core, room, parsed)
        room.add(participant)
        participant.attach(connection)
        others = [p.info() for p in room.participants.values() if p is not participant and not p.hidden]
        mocked = mode is not None
        participant.send(
            rtc.SignalResponse(
                join=rtc.JoinResponse(
                    room=room.info(),
                    participant=participant.info(),
                    other_participants=others,
                    server_version=core.server_info.version,
                    server_info=core.server_info,
                    server_region=core.options.region,
                    subscriber_primary=participant.subscriber_primary,
                    ping_interval=PING_INTERVAL if mocked else core.options.ping_interval,
                    ping_timeout=PING_TIMEOUT if mocked else core.options.ping_timeout,
                    sif_trailer=room.sif_trailer,
                    enabled_publish_codecs=[models.Codec(mime=mime) for mime in PUBLISH_CODECS],
                    fast_publish=participant.grants.can_publish,
                )
            )
        )
        participant.set_joined()
        participant.send_token()
        if participant.single_peer_connection:
            room.subscribe_to_existing(participant)
        elif participant.subscriber_primary:
            participant.subscriptions.send_offer()
        for request in parsed.add_tracks:
            participant.publishing.add_track(request)
        if parsed.publisher_offer is not None:
            participant.publishing.handle_offer(parsed.publisher_offer)
        return participant

    # lk.mock

    async def _mocked_start(self, connection: SignalConnection, parsed: ConnectRequest, mode: MockMode) -> bool:
        """Do what a mode does before the first message; returns whether that was all."""
        leave = mode.name == "leave_first_message" or (mode.name == "leave_during_reconnect" and parsed.reconnect)
        if mode.name == "close_before_join":
            await asyncio.sleep(BEFORE_JOIN_DELAY)
            connection.close(1011)
        elif leave:
            connection.send(_leave(mode))
        elif mode.name != "no_first_message":
            return False
        await connection.serve(lambda _: None)
        return True

    @staticmethod
    def _mocked_later(connection: SignalConnection, participant: Participant, mode: MockMode) -> None:
        connection.no_pong = mode.name == "no_pong"
        connection.drop_on_close = mode.name == "drop_on_close"

    @staticmethod
    def _mocked_connected(connection: SignalConnection, participant: Participant, mode: MockMode) -> None:
        if mode.name == "close_when_connected":
            connection.close(1011, b"mock close_when_connected")
        elif mode.name == "drop_when_connected":
            connection.abort()
        elif mode.name == "leave_when_connected":
            connection.send(_leave(mode))


def _leave(mode: MockMode) -> rtc.SignalResponse:
    return rtc.SignalResponse(
        leave=rtc.LeaveRequest(reason=models.DisconnectReason.SERVER_SHUTDOWN, action=mode.leave_action)
    )
