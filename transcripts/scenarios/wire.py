"""Without a client: what HTTP and the WebSocket say to connections of every kind, good and bad."""

from __future__ import annotations

import base64
import gzip
from datetime import UTC, datetime, timedelta

from livekit.protocol import models, rtc

from ..stage import Stage
from ..wire import join_query
from . import WIRE, scenario


@scenario(kits=WIRE)
async def validate(stage: Stage) -> None:
    """The status and the text for each kind of token and of request."""
    now = datetime.now(UTC)
    good = stage.token("alice")
    head, body, tail = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    tokens = {
        "a good token": good,
        "no token": "",
        "nonsense": "nonsense",
        "three words": "a.b.c",
        "a wrong signature": f"{head}.{body}.{tail[:-4]}AAAA",
        "no algorithm": f"{none}.{body}.",
        "an expired token": stage.token("alice", ttl=-3600),
        "a token of the future": stage.token("alice", valid_from=now + timedelta(hours=1)),
        "no room": stage.token("alice", room=""),
        "no right to join": stage.token("alice", room_join=False),
        "no identity": stage.token(""),
        "a long identity": stage.token("x" * 257),
        "a long room": stage.token("alice", room="r" * 257),
    }
    joined = join_query(rtc.JoinRequest(client_info=models.ClientInfo(sdk=models.ClientInfo.SDK.GO)))
    for path in ("/rtc/validate", "/rtc/v1/validate"):
        for title, token in tokens.items():
            await stage.step(f"{path} with {title}")
            await stage.get(path, token, {"join_request": joined} if "v1" in path else {})
    for title, path, query in (
        ("without a join request", "/rtc/v1/validate", {}),
        ("with a join request that is no base64", "/rtc/v1/validate", {"join_request": "!!!"}),
        ("with a join request that is no message", "/rtc/v1/validate", {"join_request": "____"}),
        ("with a join request in v0", "/rtc/validate", {"join_request": joined}),
        ("with own attributes", "/rtc/validate", {"attributes": base64.urlsafe_b64encode(b'{"a":"1"}').decode()}),
        ("with attributes that are none", "/rtc/validate", {"attributes": "????"}),
        ("as a plain request", "/rtc", {}),
        ("as a plain request of v1", "/rtc/v1", {"join_request": joined}),
        ("to the root", "/", {}),
        ("to nowhere", "/nowhere", {}),
    ):
        await stage.step(f"{path} {title}")
        await stage.get(path, good, query)
    await stage.step("a bad header")
    await stage.get("/rtc/validate", good, {}, prefix="Basic ")
    await stage.step("the token in the query")
    await stage.get("/rtc/validate", "", {"access_token": good})


@scenario(kits=WIRE)
async def refused_connections(stage: Stage) -> None:
    """The same at the upgrade."""
    for title, token in (
        ("no token", ""),
        ("nonsense", "nonsense"),
        ("an expired token", stage.token("alice", ttl=-3600)),
        ("no right to join", stage.token("alice", room_join=False)),
        ("no room", stage.token("alice", room="")),
    ):
        for path in ("/rtc", "/rtc/v1"):
            await stage.step(f"{path} with {title}")
            await stage.wire("alice", token=token, path=path, refused=True)
    await stage.step("v1 without a join request")
    await stage.wire("alice", path="/rtc/v1", query={}, refused=True)


@scenario(kits=WIRE)
async def version_0(stage: Stage) -> None:
    """What the query of `/rtc` can say."""
    await stage.step("alice joins")
    await stage.wire(
        "alice",
        query={
            "protocol": "17",
            "sdk": "js",
            "version": "2.0.0",
            "client_protocol": "1",
            "capabilities": "CAP_PACKET_TRAILER",
            "browser": "Chrome",
            "auto_subscribe": "0",
        },
    )
    await stage.told("alice", "join")
    await stage.step("bob joins with an old protocol")
    await stage.wire("bob", query={"protocol": "2", "sdk": "ios"})
    await stage.told("bob", "join")
    await stage.step("carol joins with attributes")
    attributes = base64.urlsafe_b64encode(b'{"a":"1","b":""}').decode()
    await stage.wire("carol", query={"protocol": "16", "attributes": attributes})
    await stage.told("carol", "join")
    await stage.step("dave joins without a query")
    await stage.wire("dave", query={})
    await stage.told("dave", "join")
    await stage.step("erin joins with attributes she may not set")
    await stage.wire(
        "erin", query={"attributes": attributes}, token=stage.token("erin", can_update_own_metadata=False), refused=True
    )


@scenario(kits=WIRE)
async def version_1(stage: Stage) -> None:
    """What a join request can say."""
    info = models.ClientInfo(sdk=models.ClientInfo.SDK.RUST, protocol=17, version="1.0.0")
    await stage.step("alice joins with tracks, metadata and attributes")
    join = rtc.JoinRequest(
        client_info=info,
        connection_settings=rtc.ConnectionSettings(auto_subscribe=True),
        metadata="m",
        participant_attributes={"a": "1"},
        add_track_requests=[
            rtc.AddTrackRequest(
                cid="early", name="early", type=models.TrackType.AUDIO, source=models.TrackSource.MICROPHONE
            )
        ],
    )
    await stage.wire("alice", path="/rtc/v1", query={"join_request": join_query(join)})
    await stage.told("alice", "track_published")
    await stage.step("bob joins with a compressed request")
    compressed = join_query(rtc.JoinRequest(client_info=info), compress=gzip.compress)
    await stage.wire("bob", path="/rtc/v1", query={"join_request": compressed})
    await stage.told("bob", "join")
    await stage.step("carol sends no client info")
    empty = rtc.JoinRequest(connection_settings=rtc.ConnectionSettings(auto_subscribe=True))
    await stage.wire("carol", path="/rtc/v1", query={"join_request": join_query(empty)})
    await stage.told("carol", "join")
    await stage.step("dave sends metadata he may not set")
    refused = join_query(rtc.JoinRequest(client_info=info, metadata="mine"))
    token = stage.token("dave", can_update_own_metadata=False)
    await stage.wire("dave", path="/rtc/v1", token=token, query={"join_request": refused}, refused=True)


@scenario(kits=WIRE)
async def unknown_sessions(stage: Stage) -> None:
    """Resumes of what is not there."""
    await stage.step("alice resumes where nobody is")
    await stage.wire("alice", query={"reconnect": "1", "sid": "PA_none", "protocol": "17"})
    await stage.told("alice", "leave")
    await stage.step("bob joins")
    await stage.wire("bob")
    await stage.told("bob", "join")
    await stage.step("alice resumes where bob is")
    await stage.wire("alice", query={"reconnect": "1", "sid": "PA_none", "protocol": "17"})
    await stage.told("alice", "leave")
    await stage.step("bob resumes with another sid")
    await stage.wire("bob", query={"reconnect": "1", "sid": "PA_none", "protocol": "17"})
    await stage.told("bob", "reconnect")
    await stage.step("carol resumes in v1")
    join = rtc.JoinRequest(reconnect=True, participant_sid="PA_none", client_info=models.ClientInfo(protocol=17))
    await stage.wire("carol", path="/rtc/v1", query={"join_request": join_query(join)})
    await stage.told("carol", "leave")


@scenario(kits=WIRE)
async def resume_by_wire(stage: Stage) -> None:
    """A second connection of a session, with and without the first, in both versions."""
    await stage.step("bob joins")
    await stage.wire("bob")
    await stage.told("bob", "join")
    await stage.step("alice joins")
    await stage.wire("alice")
    await stage.told("alice", "join")
    sid = stage.recording.of("alice", "join")[0].body.participant.sid
    await stage.step("alice resumes while the first connection is there")
    await stage.wire("alice", query={"reconnect": "1", "sid": sid, "protocol": "17", "reconnect_reason": "1"})
    await stage.told("alice", "reconnect")
    await stage.step("alice resumes without a sid")
    await stage.wire("alice", query={"reconnect": "1", "protocol": "17"})
    await stage.told("alice", "reconnect")


@scenario(kits=WIRE)
async def garbage(stage: Stage) -> None:
    """Frames that are no messages, and messages as JSON."""
    for title, frame in (
        ("some bytes that are no message", b"\xff\xff\xff"),
        ("an empty frame", b""),
        ("a text that is no message", "nonsense"),
        ("a leave as JSON", '{"leave":{"reason":"CLIENT_INITIATED"}}'),
    ):
        identity = "".join(title.split(" ")[1])
        await stage.step(f"{identity} joins")
        await stage.wire(identity)
        await stage.told(identity, "join")
        await stage.step(f"{identity} sends {title}")
        await stage.inject(identity, frame)
        await stage.settle()
        if identity not in stage.endpoint.proxy.connected(stage.room):
            await stage.absent(identity)
    await stage.step("json joins")
    await stage.wire("json")
    await stage.told("json", "join")
    await stage.step("json pings")
    await stage.inject("json", '{"ping":"1"}')
    await stage.told("json", "text", lambda _: True)
