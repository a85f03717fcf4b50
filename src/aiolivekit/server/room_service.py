"""`RoomService` over Twirp, in protobuf and JSON, so that `livekit-api` works against the dev server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from livekit.protocol import models, rtc
from livekit.protocol import room as pb

from aiolivekit.server.http import authenticate
from aiolivekit.server.participant import Participant
from aiolivekit.server.requests import Refusal
from aiolivekit.server.room import Room
from aiolivekit.server.signalling import metadata_refusal, update_subscriptions
from aiolivekit.server.tokens import Claims, VideoGrants

if TYPE_CHECKING:
    from aiolivekit.server.dev_server import ServerCore

__all__ = ["RoomService"]

PREFIX = "/twirp/livekit.RoomService/"

BODY_TIME = 10.0
"""Seconds a request's body may take."""

_STATUS = {
    "invalid_argument": 400,
    "malformed": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "bad_route": 404,
    "failed_precondition": 412,
    "internal": 500,
    "unimplemented": 501,
}


class TwirpError(Exception):
    """A refused call: its code decides the HTTP status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def _answer(error: TwirpError) -> web.Response:
    body = json.dumps({"code": error.code, "msg": error.message})
    return web.Response(
        status=_STATUS.get(error.code, 500),
        text=body,
        content_type="application/json",
        headers={"Access-Control-Allow-Origin": "*"},
    )


class RoomService:
    """The calls that tests need."""

    def __init__(self, core: ServerCore) -> None:
        self._core = core
        self._methods: dict[str, tuple[type[Message], Callable[..., Message]]] = {
            "CreateRoom": (pb.CreateRoomRequest, self._create_room),
            "ListRooms": (pb.ListRoomsRequest, self._list_rooms),
            "DeleteRoom": (pb.DeleteRoomRequest, self._delete_room),
            "ListParticipants": (pb.ListParticipantsRequest, self._list_participants),
            "GetParticipant": (pb.RoomParticipantIdentity, self._get_participant),
            "RemoveParticipant": (pb.RoomParticipantIdentity, self._remove_participant),
            "MutePublishedTrack": (pb.MuteRoomTrackRequest, self._mute_track),
            "UpdateParticipant": (pb.UpdateParticipantRequest, self._update_participant),
            "UpdateSubscriptions": (pb.UpdateSubscriptionsRequest, self._update_subscriptions),
            "SendData": (pb.SendDataRequest, self._send_data),
            "UpdateRoomMetadata": (pb.UpdateRoomMetadataRequest, self._update_room_metadata),
        }

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application."""
        app.router.add_post(PREFIX + "{method}", self._call)

    async def _call(self, request: web.Request) -> web.Response:
        try:
            return await self._called(request)
        except TwirpError as error:
            return _answer(error)
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=refusal.body)

    async def _called(self, request: web.Request) -> web.Response:
        claims = authenticate(request, self._core)
        name = request.match_info["method"]
        if name not in self._methods:
            raise TwirpError("bad_route", f"no handler for path {PREFIX}{name}")
        message_type, method = self._methods[name]
        # Before the body is read: strangers could fill the memory with it.
        self._grants(claims)
        try:
            async with asyncio.timeout(BODY_TIME):
                body = await request.read()
        except TimeoutError as error:
            raise TwirpError("malformed", "the request did not come in time") from error
        as_json = request.content_type == "application/json"
        try:
            message = (
                json_format.Parse(body or b"{}", message_type(), ignore_unknown_fields=True)
                if as_json
                else message_type.FromString(body)
            )
        except (DecodeError, json_format.ParseError, UnicodeDecodeError) as error:
            raise TwirpError("malformed", "the request could not be decoded") from error
        result = method(claims, message)
        if as_json:
            text = json_format.MessageToJson(result, preserving_proto_field_name=True, indent=None)
            return web.Response(text=text, content_type="application/json")
        return web.Response(body=result.SerializeToString(), content_type="application/protobuf")

    # grants

    @staticmethod
    def _grants(claims: Claims | None) -> VideoGrants:
        if claims is None or claims.video is None:
            raise TwirpError("unauthenticated", "permissions denied")
        return claims.video

    def _require(self, claims: Claims | None, *, create: bool = False, listing: bool = False) -> None:
        grants = self._grants(claims)
        if (create and not grants.room_create) or (listing and not grants.room_list):
            raise TwirpError("unauthenticated", "permissions denied")

    def _require_admin(self, claims: Claims | None, room: str) -> None:
        grants = self._grants(claims)
        if not grants.room_admin or grants.room != room:
            raise TwirpError("unauthenticated", "permissions denied")

    def _room(self, name: str) -> Room:
        room = self._core.rooms.get(name)
        if room is None:
            raise TwirpError("not_found", "requested room does not exist")
        return room

    def _participant(self, room: str, identity: str) -> Participant:
        found = self._core.rooms.get(room)
        participant = found.participants.get(identity) if found is not None else None
        if participant is None:
            raise TwirpError("not_found", "participant does not exist")
        return participant

    # calls

    def _create_room(self, claims: Claims | None, request: pb.CreateRoomRequest) -> models.Room:
        self._require(claims, create=True)
        limits = self._core.options.limits
        if len(request.name.encode()) > limits.room_name:
            raise TwirpError("invalid_argument", f"room name length exceeds limits: max length {limits.room_name}")
        if len(request.metadata.encode()) > limits.metadata:
            raise TwirpError("invalid_argument", "metadata size exceeds limits")
        if not request.name:
            raise TwirpError("invalid_argument", "no room name")
        config = models.Room(
            empty_timeout=request.empty_timeout,
            departure_timeout=request.departure_timeout,
            max_participants=request.max_participants,
            metadata=request.metadata,
        )
        return self._core.create_room(request.name, config).info()

    def _list_rooms(self, claims: Claims | None, request: pb.ListRoomsRequest) -> pb.ListRoomsResponse:
        self._require(claims, listing=True)
        rooms = [room.info() for room in self._core.rooms.values() if not request.names or room.name in request.names]
        return pb.ListRoomsResponse(rooms=rooms)

    def _delete_room(self, claims: Claims | None, request: pb.DeleteRoomRequest) -> pb.DeleteRoomResponse:
        self._require(claims, create=True)
        self._room(request.room).close(models.DisconnectReason.ROOM_DELETED)
        return pb.DeleteRoomResponse()

    def _list_participants(
        self, claims: Claims | None, request: pb.ListParticipantsRequest
    ) -> pb.ListParticipantsResponse:
        self._require_admin(claims, request.room)
        room = self._core.rooms.get(request.room)
        participants = [p.info() for p in room.participants.values()] if room is not None else []
        return pb.ListParticipantsResponse(participants=participants)

    def _get_participant(self, claims: Claims | None, request: pb.RoomParticipantIdentity) -> models.ParticipantInfo:
        self._require_admin(claims, request.room)
        return self._participant(request.room, request.identity).info()

    def _remove_participant(
        self, claims: Claims | None, request: pb.RoomParticipantIdentity
    ) -> pb.RemoveParticipantResponse:
        self._require_admin(claims, request.room)
        self._participant(request.room, request.identity).close(models.DisconnectReason.PARTICIPANT_REMOVED)
        return pb.RemoveParticipantResponse()

    def _mute_track(self, claims: Claims | None, request: pb.MuteRoomTrackRequest) -> pb.MuteRoomTrackResponse:
        self._require_admin(claims, request.room)
        participant = self._participant(request.room, request.identity)
        if not request.muted:
            raise TwirpError("failed_precondition", "remote unmute not enabled")
        participant.send(rtc.SignalResponse(mute=rtc.MuteTrackRequest(sid=request.track_sid, muted=request.muted)))
        track = participant.publishing.set_muted(request.track_sid, muted=request.muted)
        return pb.MuteRoomTrackResponse(track=track)

    def _update_participant(
        self, claims: Claims | None, request: pb.UpdateParticipantRequest
    ) -> models.ParticipantInfo:
        self._require_admin(claims, request.room)
        participant = self._participant(request.room, request.identity)
        attributes = dict(request.attributes)
        if message := metadata_refusal(participant, request.name, request.metadata, attributes):
            raise TwirpError("invalid_argument", message)
        participant.update_claims(request.name, request.metadata, attributes)
        if request.HasField("permission"):
            participant.set_permission(request.permission)
        return participant.info()

    def _update_subscriptions(
        self, claims: Claims | None, request: pb.UpdateSubscriptionsRequest
    ) -> pb.UpdateSubscriptionsResponse:
        self._require_admin(claims, request.room)
        update_subscriptions(
            self._participant(request.room, request.identity),
            rtc.UpdateSubscription(
                track_sids=request.track_sids,
                subscribe=request.subscribe,
                participant_tracks=request.participant_tracks,
            ),
        )
        return pb.UpdateSubscriptionsResponse()

    def _send_data(self, claims: Claims | None, request: pb.SendDataRequest) -> pb.SendDataResponse:
        self._require_admin(claims, request.room)
        if len(request.nonce) not in (0, 16):
            raise TwirpError(
                "invalid_argument", f"nonce should be 16-bytes or not present, got: {len(request.nonce)} bytes"
            )
        user = models.UserPacket(
            payload=request.data,
            destination_sids=request.destination_sids,
            destination_identities=request.destination_identities,
            nonce=request.nonce,
        )
        if request.HasField("topic"):
            user.topic = request.topic
        packet = models.DataPacket(kind=request.kind, destination_identities=request.destination_identities, user=user)
        reliable = request.kind == models.DataPacket.Kind.RELIABLE
        self._room(request.room).data.send(packet, None, reliable=reliable)
        return pb.SendDataResponse()

    def _update_room_metadata(self, claims: Claims | None, request: pb.UpdateRoomMetadataRequest) -> models.Room:
        self._require_admin(claims, request.room)
        if len(request.metadata.encode()) > self._core.options.limits.metadata:
            raise TwirpError("invalid_argument", "metadata size exceeds limits")
        room = self._room(request.room)
        room.set_metadata(request.metadata)
        return room.info()
