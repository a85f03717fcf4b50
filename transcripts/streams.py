"""A recording cut into streams, within each of which order counts.

Between streams order means nothing: servers trickle candidates, tell of other participants, of qualities and of
streams as these things come about, and only what answers a client has a fixed place. The rules, in one table:

* what comes by the clock is left out, unless the scenario is about it; then each distinct message counts once;
* what tells a state (an update of a participant, wanted qualities, an offer with all its sections) counts as it is at
  the end of the step, for servers collect such news over different times;
* requirements of sections add up; candidates are a set, and a client's are those of its machine: left out;
* once one side has said that the client leaves, both race to close: who was first is left out;
* everything else is in one stream for each connection, in order, and the first of each kind that the client waits
  for is in another, so that `join` comes first, `leave` last and an `answer` after the `track_published` before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from livekit.protocol import rtc

from .names import Names
from .normalise import labels_of_offer, meaning
from .recording import CLOCKED, Entry

__all__ = ["Said", "StreamKey", "streams"]

_LAST_OF_STEP = {"offer", "answer", "subscribed_quality_update", "stream_state_update", "data_track_subscriber_handles"}
_APART = {
    "refresh_token",
    "subscription_permission_update",
    "subscribed_quality_update",
    "stream_state_update",
    "track_subscribed",
    "data_track_subscriber_handles",
    "subscription_response",
    "offer",
    "answer",
    "subscription",
    "track_setting",
    "text",
}
_WAITED_FOR = ("join", "reconnect", "track_published", "answer", "request_response", "leave", "refused", "close")


@dataclass(frozen=True, order=True)
class StreamKey:
    """Which stream.

    Args:
        step: The step of the scenario.
        identity: Whose connection.
        origin: `server` or `client`.
        name: The stream's name.
    """

    step: str
    identity: str
    origin: str
    name: str


@dataclass(frozen=True)
class Said:
    """One message of a stream, reduced to its meaning."""

    kind: str
    tree: Any


def streams(entries: Iterable[Entry], names: Names, clocked: frozenset[str]) -> dict[StreamKey, list[Said]]:
    """Return the streams of a recording.

    Args:
        entries: The recording.
        names: Names for what is made up at run time.
        clocked: The kinds that come by the clock and count nevertheless.
    """
    found: dict[StreamKey, list[Said]] = {}
    left: set[tuple[str, int]] = set()
    labels: dict[str, dict[str, str]] = {}
    for entry in entries:
        connection = (entry.identity, entry.connection)
        if connection in left and entry.kind in ("leave", "close"):
            continue
        if entry.kind == "leave":
            left.add(connection)
        if entry.kind in CLOCKED and entry.kind not in clocked:
            continue
        if (entry.kind, entry.origin) == ("trickle", "client"):
            continue
        if (entry.kind, entry.origin) == ("offer", "server") and isinstance(entry.body, rtc.SessionDescription):
            labels[entry.identity] = labels_of_offer(entry.body, names)
        for name, said in _place(entry, names, labels.get(entry.identity)):
            key = StreamKey(entry.step, entry.identity, entry.origin, name)
            _put(found.setdefault(key, []), said)
        if entry.origin == "server" and entry.kind in _WAITED_FOR:
            key = StreamKey(entry.step, entry.identity, "server", f"order on connection {entry.connection}")
            order = found.setdefault(key, [])
            if all(said.kind != entry.kind for said in order):
                order.append(Said(entry.kind, None))
    for said in found.values():
        if said and said[0].kind == "trickle":
            said.sort(key=_text)
    return found


def _text(said: Said) -> str:
    return json.dumps(said.tree, sort_keys=True)


def _place(entry: Entry, names: Names, labels: dict[str, str] | None) -> Iterator[tuple[str, Said]]:
    """Yield the streams a message belongs to, with what it says there."""
    kind, body = entry.kind, entry.body
    if kind == "update" and isinstance(body, rtc.ParticipantUpdate):
        for info in body.participants:
            yield f"update about {names.replace(info.sid)}", Said(kind, meaning(info, kind, names))
        return
    tree = meaning(body, kind, names, entry.origin, labels)
    if kind == "trickle" and isinstance(body, rtc.TrickleRequest):
        yield f"trickle {rtc.SignalTarget.Name(body.target).lower()}", Said(kind, tree)
    elif kind in CLOCKED or kind == "media_sections_requirement":
        yield kind, Said(kind, tree)
    elif kind in _APART:
        track = getattr(body, "track_sid", "") if isinstance(body, Message) else ""
        yield f"{kind} {names.replace(track)}".rstrip(), Said(kind, tree)
    else:
        yield f"connection {entry.connection}", Said(kind, tree)


def _put(stream: list[Said], said: Said) -> None:
    if said.kind in _LAST_OF_STEP or said.kind == "update":
        stream[:] = [said]
    elif said.kind == "media_sections_requirement":
        before = stream[0].tree if stream else {}
        total = {name: before.get(name, 0) + said.tree.get(name, 0) for name in {*before, *said.tree}}
        stream[:] = [Said(said.kind, total)] if total else []
    elif said.kind == "trickle":
        # The last one says so, whichever it is.
        plain = {name: value for name, value in said.tree.items() if name != "final"}
        for tree in (plain, {"final": True} if "final" in said.tree else None):
            if tree is not None and Said(said.kind, tree) not in stream:
                stream.append(Said(said.kind, tree))
    elif said.kind in CLOCKED or said.kind == "text":
        if said not in stream:
            stream.append(said)
    else:
        stream.append(said)
