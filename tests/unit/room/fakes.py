"""Under the room in its unit tests: an engine that records what it is asked, and messages of the server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from livekit.protocol import models, rtc

from aiolivekit.core.absences import SentLedger
from aiolivekit.core.encodings import Encoding
from aiolivekit.e2ee.manager import E2EEManager
from aiolivekit.engine.engine import RtcEngine
from aiolivekit.engine.events import Disconnected, EngineEvents
from aiolivekit.enums import DataPacketKind, DegradationPreference, DisconnectReason, SimulateScenarioKind
from aiolivekit.errors import ClosedError, RequestTimeoutError
from aiolivekit.options import RoomOptions, TrackPublishOptions
from aiolivekit.peer.tracks import OutgoingTrack, RemoteMedia
from aiolivekit.peer.transforms import FrameLayer
from aiolivekit.room.event_names import EventTypes
from aiolivekit.room.events import EVENTS
from aiolivekit.room.room import Room
from aiolivekit.session.events import (
    DataReceived,
    MediaTrackAdded,
    MediaTrackRemoved,
    ParticipantUpdate,
)
from aiolivekit.session.session import SessionStats

JOINING, JOINED, ACTIVE, GONE = models.ParticipantInfo.State.values()
RELIABLE = DataPacketKind.KIND_RELIABLE


class RecordingSender:
    """A sender that sends nowhere."""

    def __init__(self, track: OutgoingTrack, encodings: Sequence[Encoding], stereo: bool) -> None:
        self.track = track
        self.cid = track.cid
        self.replacing: asyncio.Future[None] | None = None
        self.encodings = list(encodings)
        self.stereo = stereo
        self.active = (True,) * len(self.encodings)
        self.degradation: DegradationPreference | None = None

    async def replace(self, track: OutgoingTrack) -> None:
        if self.replacing is not None:
            await self.replacing
        self.track = track

    async def encode(self, encodings: Sequence[Encoding]) -> None:
        self.encodings = list(encodings)

    async def activate(self, active: Sequence[bool]) -> None:
        self.active = tuple(active)

    async def prefer(self, degradation: DegradationPreference) -> None:
        self.degradation = degradation

    async def get_stats(self) -> list[dict[str, Any]]:
        return [{"type": "outbound-rtp", "id": self.track.cid}]

    async def packets_sent(self) -> None:
        return None


class RecordingEngine:
    """An engine that records what it is asked, and answers what it is told to.

    Attributes:
        calls: Names of what was called, in order, with their important argument.
        gates: Steps that wait until they are opened.
        failures: Steps that raise.
    """

    def __init__(self) -> None:
        self.events = EngineEvents()
        self.e2ee = E2EEManager(None)
        self.sent = SentLedger()
        self.closed = False
        self.epoch = 1
        self.calls: list[tuple[str, Any]] = []
        self.requests: list[rtc.SignalRequest] = []
        self.packets: list[tuple[models.DataPacket, DataPacketKind]] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.failures: dict[str, Exception] = {}
        self.reached: dict[str, asyncio.Event] = {}
        self.senders: list[RecordingSender] = []
        self.responses: deque[rtc.RequestResponse] = deque()
        self.last_id = 0
        self.tracks = 0
        self.data_track_packets: list[bytes] = []
        self.join_response = rtc.JoinResponse()
        self.sent = SentLedger()
        self.heard: dict[str, float] = {}

    def last_heard(self, sid: str) -> float | None:
        return self.heard.get(sid)

    async def _step(self, name: str, argument: Any = None) -> None:
        self.calls.append((name, argument))
        self.reached.setdefault(name, asyncio.Event()).set()
        if (gate := self.gates.get(name)) is not None:
            await gate.wait()
        if (error := self.failures.get(name)) is not None:
            raise error
        if self.closed:
            raise ClosedError("the engine is closed")

    async def wait_for(self, name: str) -> None:
        """Wait until a step was reached."""
        async with asyncio.timeout(5):
            await self.reached.setdefault(name, asyncio.Event()).wait()

    async def close(self, reason: DisconnectReason = DisconnectReason.CLIENT_INITIATED) -> None:
        if not self.closed:
            self.closed = True
            self.calls.append(("close", reason))
            await asyncio.sleep(0)
            self.events.put(Disconnected(reason))
            self.events.end()

    async def publish_data(
        self, packet: models.DataPacket, kind: DataPacketKind = RELIABLE, *, raw: bool = False, bulk: bool = False
    ) -> None:
        await self._step("publish_data")
        self.packets.append((packet, kind))

    async def add_track(self, request: rtc.AddTrackRequest, *, epoch: int | None = None) -> models.TrackInfo:
        await self._step("add_track", request)
        self.tracks += 1
        return models.TrackInfo(
            sid=f"TR_{self.tracks}",
            name=request.name,
            type=request.type,
            source=request.source,
            muted=request.muted,
            width=request.width,
            height=request.height,
        )

    async def create_sender(
        self,
        track: OutgoingTrack,
        options: TrackPublishOptions,
        encodings: Sequence[Encoding],
        *,
        stereo: bool = False,
        epoch: int | None = None,
    ) -> RecordingSender:
        await self._step("create_sender")
        sender = RecordingSender(track, encodings, stereo)
        self.senders.append(sender)
        return sender

    def remove_track(self, sender: RecordingSender) -> None:
        self.calls.append(("remove_track", sender))

    def publisher_negotiation_needed(self) -> None:
        self.calls.append(("publisher_negotiation_needed", None))

    async def negotiate(self) -> None:
        await self._step("negotiate")

    async def send_request(self, request: rtc.SignalRequest) -> None:
        await self._step("send_request")
        self.requests.append(request)

    def post_request(self, request: rtc.SignalRequest) -> None:
        if not self.closed:
            self.requests.append(request)

    def data_tracks_ready(self) -> bool:
        return not self.closed

    def send_data_track_packet(self, packet: bytes) -> None:
        self.data_track_packets.append(packet)

    def new_request_id(self) -> int:
        if self.closed:
            raise ClosedError("the engine is closed")
        self.last_id += 1
        return self.last_id

    async def get_response(self, request_id: int, timeout: float = 5.0) -> rtc.RequestResponse:
        await self._step("get_response", request_id)
        if not self.responses:
            raise RequestTimeoutError("the server did not answer")
        return self.responses.popleft()

    async def get_stats(self) -> SessionStats:
        return SessionStats([{"type": "transport"}], [])

    async def simulate_scenario(self, scenario: SimulateScenarioKind) -> None:
        await self._step("simulate_scenario", scenario)

    @property
    def names(self) -> list[str]:
        """The names of the calls."""
        return [name for name, _ in self.calls]

    def as_engine(self) -> RtcEngine:
        """The same, for those who want an engine."""
        return cast(RtcEngine, self)


class Chain:
    """The steps that frames of a receiver pass, without frames."""

    def __init__(self) -> None:
        self.steps: dict[FrameLayer, Any] = {}
        self.dropped = 0

    def set_step(self, layer: FrameLayer, step: Any) -> None:
        self.steps[layer] = step

    def request_key_frame(self) -> None:
        pass


class Media:
    """The native side of a remote track, without one."""

    def __init__(self, kind: str = "audio") -> None:
        self.kind = kind
        self.media_track = object()
        self.chain = Chain()

    async def get_stats(self) -> list[dict[str, Any]]:
        return [{"type": "inbound-rtp"}]

    def as_media(self) -> RemoteMedia:
        return cast(RemoteMedia, self)


def track(sid: str, **fields: Any) -> models.TrackInfo:
    return models.TrackInfo(sid=sid, **{"name": sid.lower(), **fields})


def info(identity: str = "ann", sid: str | None = None, version: int = 1, **fields: Any) -> models.ParticipantInfo:
    permission = models.ParticipantPermission(can_publish=True, can_subscribe=True, can_publish_data=True)
    fields = {"state": ACTIVE, "joined_at_ms": 1000, "permission": permission, **fields}
    return models.ParticipantInfo(
        identity=identity, sid=f"PA_{identity}" if sid is None else sid, version=version, **fields
    )


def join(*others: models.ParticipantInfo, **room: Any) -> rtc.JoinResponse:
    return rtc.JoinResponse(
        room=models.Room(**{"sid": "RM_1", "name": "the room", **room}),
        participant=info("me"),
        other_participants=others,
    )


class Stage:
    """A room that is connected to a recording engine, and a record of its events.

    Attributes:
        log: The room's events by name, with their arguments.
    """

    def __init__(self, *others: models.ParticipantInfo, auto_subscribe: bool = True, **room: Any) -> None:
        self.engine = RecordingEngine()
        self.room = Room()
        self.log: list[tuple[Any, ...]] = []
        for name in EVENTS:
            self._watch(name)
        options = RoomOptions(auto_subscribe=auto_subscribe)
        self.room._enter(self.engine.as_engine(), join(*others, **room), self.engine.events, options).start_soon()

    def _watch(self, name: str) -> None:
        self.room.on(cast(EventTypes, name), lambda *args: self.log.append((name, *args)))

    @classmethod
    async def started(cls, *others: models.ParticipantInfo, **options: Any) -> Stage:
        """Return a stage whose first events have been told, and forgotten."""
        stage = cls(*others, **options)
        await asyncio.sleep(0)
        stage.take()
        return stage

    def take(self) -> list[tuple[Any, ...]]:
        """Return the events since the last call."""
        log, self.log = self.log, []
        return log

    def names(self) -> list[str]:
        """Return the names of the events since the last call."""
        return [event[0] for event in self.take()]

    def put(self, event: Any) -> None:
        """Have the engine emit an event."""
        self.engine.events.put(event)

    def update(self, *updates: models.ParticipantInfo) -> None:
        """Have the server update participants."""
        self.put(ParticipantUpdate(list(updates)))

    def add_media(self, track_sid: str, participant_sid: str = "PA_ann", kind: str = "audio") -> Media:
        """Have a remote track arrive."""
        media = Media(kind)
        self.put(MediaTrackAdded(media.as_media(), participant_sid, track_sid))
        return media

    def remove_media(self, track_sid: str, participant_sid: str = "PA_ann") -> None:
        """Have a remote track arrive no more."""
        self.put(MediaTrackRemoved(participant_sid, track_sid))

    def receive(self, payload: bytes, identity: str = "ann", sid: str | None = None, topic: str = "") -> None:
        """Have a data packet arrive."""
        self.put(DataReceived(f"PA_{identity}" if sid is None else sid, identity, payload, topic, RELIABLE, 0))


class Connector:
    """Takes the place of `RtcEngine` while a room connects."""

    def __init__(self, *others: models.ParticipantInfo) -> None:
        self.engine = RecordingEngine()
        self.others = others
        self.calls: list[tuple[str, str, Any]] = []
        self.gate: asyncio.Event | None = None
        self.failure: Exception | None = None
        self.on_success: Callable[[], object] | None = None
        self.cancelled = False
        self.began = asyncio.Event()

    async def connect(
        self, url: str, token: str, options: Any, *, e2ee_manager: E2EEManager | None = None, flight: Any = None
    ) -> tuple[Any, rtc.JoinResponse, EngineEvents]:
        self.calls.append((url, token, options))
        self.began.set()
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.failure is not None:
            raise self.failure
        if self.on_success is not None:
            asyncio.get_running_loop().call_soon(self.on_success)
        return self.engine, join(*self.others), self.engine.events


def identities(participants: Iterable[Any]) -> list[str]:
    return [participant.identity for participant in participants]


OPTIONS = RoomOptions()
