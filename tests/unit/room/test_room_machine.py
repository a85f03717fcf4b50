"""Whatever the server says in whatever order: the room shows what is true, and each event has its counterpart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from livekit.protocol import models

from aiolivekit.enums import ConnectionState

from .fakes import ACTIVE, GONE, JOINED, Stage, track

IDENTITIES = st.sampled_from(["ann", "bob", "cid"])
NUMBERS = st.integers(0, 2)


@dataclass
class Visitor:
    """What is true of a participant."""

    identity: str
    sid: str
    joined_at: int
    version: int = 1
    active: bool = False
    name: str = ""
    muted: dict[str, bool] = field(default_factory=dict)

    def info(self, **fields: Any) -> models.ParticipantInfo:
        fields = {"state": ACTIVE if self.active else JOINED, **fields}
        return models.ParticipantInfo(
            identity=self.identity,
            sid=self.sid,
            version=self.version,
            joined_at_ms=self.joined_at,
            name=self.name,
            tracks=[track(sid, muted=muted) for sid, muted in self.muted.items()],
            **fields,
        )


class RoomMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stage: Stage = self.loop.run_until_complete(Stage.started())
        self.here: dict[str, Visitor] = {}
        self.media: dict[str, str] = {}
        self.said: list[models.ParticipantInfo] = []
        self.time = 0
        self.connected: dict[str, str] = {}
        self.active: set[str] = set()
        self.published: set[str] = set()
        self.subscribed: set[str] = set()
        self.muted: set[str] = set()

    def teardown(self) -> None:
        self.loop.run_until_complete(self.stage.room.disconnect())
        names = self.stage.names()
        assert names[-2:] == ["connection_state_changed", "disconnected"]
        assert self.stage.room.connection_state is ConnectionState.CONN_DISCONNECTED
        self.loop.close()

    def do(self, action: Callable[[], object]) -> None:
        async def act() -> None:
            action()

        self.loop.run_until_complete(act())
        for event in self.stage.take():
            self.hear(*event)

    def say(self, *infos: models.ParticipantInfo) -> None:
        self.said += infos
        self.do(lambda: self.stage.update(*(models.ParticipantInfo.FromString(i.SerializeToString()) for i in infos)))

    def hear(self, name: str, *args: Any) -> None:
        """Each event has its counterpart, and nothing is told of one who is not here or not published."""
        match name:
            case "participant_connected":
                assert args[0].identity not in self.connected
                self.connected[args[0].identity] = args[0].sid
            case "participant_disconnected":
                assert self.connected.pop(args[0].identity) == args[0].sid
                self.active.discard(args[0].sid)
            case "participant_active":
                assert self.connected[args[0].identity] == args[0].sid
                assert args[0].sid not in self.active
                self.active.add(args[0].sid)
            case "track_published":
                assert args[1].identity in self.connected
                assert args[0].sid not in self.published
                self.published.add(args[0].sid)
                self.muted.discard(args[0].sid)
                if args[0].muted:
                    self.muted.add(args[0].sid)
            case "track_unpublished":
                assert args[1].identity in self.connected
                assert args[0].sid not in self.subscribed
                self.published.remove(args[0].sid)
            case "track_subscribed":
                assert args[0].sid == args[1].sid
                assert args[0].sid in self.published - self.subscribed
                self.subscribed.add(args[0].sid)
            case "track_unsubscribed":
                assert args[0].sid == args[1].sid
                self.subscribed.remove(args[0].sid)
            case "track_muted":
                assert args[1].sid in self.published - self.muted
                self.muted.add(args[1].sid)
            case "track_unmuted":
                self.muted.remove(args[1].sid)

    # -- what happens in the room -------------------------------------------------------------------

    @rule(identity=IDENTITIES, active=st.booleans(), tracks=st.integers(0, 2))
    def join(self, identity: str, active: bool, tracks: int) -> None:
        """Somebody joins, perhaps in the place of an earlier self of whose end nothing was said."""
        self.time += 1
        visitor = Visitor(identity, f"PA_{identity}_{self.time}", self.time, active=active)
        visitor.muted = {f"TR_{identity}_{self.time}_{number}": False for number in range(tracks)}
        self.here[identity] = visitor
        self.say(visitor.info())

    @rule(identity=IDENTITIES)
    def leave(self, identity: str) -> None:
        if identity not in self.here:
            return
        visitor = self.here.pop(identity)
        visitor.version += 1
        visitor.muted.clear()
        self.say(visitor.info(state=GONE))

    @rule(identity=IDENTITIES, number=NUMBERS, muted=st.booleans())
    def publish(self, identity: str, number: int, muted: bool) -> None:
        if identity not in self.here:
            return
        visitor = self.here[identity]
        visitor.version += 1
        visitor.muted[f"TR_{identity}_{visitor.joined_at}_{number}"] = muted
        self.say(visitor.info())

    @rule(identity=IDENTITIES, number=NUMBERS)
    def unpublish(self, identity: str, number: int) -> None:
        if identity not in self.here:
            return
        visitor = self.here[identity]
        visitor.muted.pop(f"TR_{identity}_{visitor.joined_at}_{number}", None)
        visitor.version += 1
        self.say(visitor.info())

    @rule(identity=IDENTITIES, name=st.sampled_from(["", "one", "two"]), active=st.booleans())
    def change(self, identity: str, name: str, active: bool) -> None:
        if identity not in self.here:
            return
        visitor = self.here[identity]
        visitor.version += 1
        visitor.name = name
        visitor.active |= active
        self.say(visitor.info())

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """An update comes late, or twice."""
        self.say(data.draw(st.sampled_from(self.said)))

    @rule(identity=IDENTITIES)
    def hear_of_an_earlier_self(self, identity: str) -> None:
        """An update of a visit that was over before the one of now."""
        if identity not in self.here:
            return
        earlier = [info for info in self.said if info.identity == identity and info.sid != self.here[identity].sid]
        self.say(*earlier[-1:])

    @rule()
    def say_everything(self) -> None:
        self.say(*(visitor.info() for visitor in self.here.values()))

    # -- media, in no order with the above ----------------------------------------------------------

    @rule(identity=IDENTITIES, number=NUMBERS)
    def media_arrive(self, identity: str, number: int) -> None:
        if identity not in self.here:
            return
        visitor = self.here[identity]
        sid = f"TR_{identity}_{visitor.joined_at}_{number}"
        self.media[sid] = visitor.sid
        self.do(lambda: self.stage.add_media(sid, visitor.sid))

    @precondition(lambda self: self.media)
    @rule(data=st.data())
    def media_stop(self, data: st.DataObject) -> None:
        sid = data.draw(st.sampled_from(sorted(self.media)))
        self.do(lambda: self.stage.remove_media(sid, self.media.pop(sid)))

    @rule(identity=IDENTITIES)
    def data_arrive(self, identity: str) -> None:
        sid = self.here[identity].sid if identity in self.here else f"PA_{identity}_unknown"
        self.do(lambda: self.stage.receive(b"data", identity, sid))

    # -- what must be so ----------------------------------------------------------------------------

    @invariant()
    def the_room_shows_what_is_true(self) -> None:
        shown = self.stage.room.remote_participants
        assert set(shown) == set(self.here)
        for identity, visitor in self.here.items():
            participant = shown[identity]
            assert (participant.sid, participant.name) == (visitor.sid, visitor.name)
            publications = participant.track_publications
            assert {sid: publication.muted for sid, publication in publications.items()} == visitor.muted
            for sid, publication in publications.items():
                assert publication.subscribed == (sid in self.media)

    @invariant()
    def the_events_tell_what_is_true(self) -> None:
        assert self.connected == {identity: visitor.sid for identity, visitor in self.here.items()}
        assert self.active == {visitor.sid for visitor in self.here.values() if visitor.active}
        tracks = {sid: muted for visitor in self.here.values() for sid, muted in visitor.muted.items()}
        assert self.published == set(tracks)
        assert self.muted & self.published == {sid for sid, muted in tracks.items() if muted}
        assert self.subscribed == set(tracks) & set(self.media)

    @invariant()
    def nothing_went_wrong(self) -> None:
        visit = self.stage.room._visit
        assert visit is not None
        assert visit.failures == 0


RoomMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRoomMachine = RoomMachine.TestCase
