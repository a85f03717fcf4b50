"""Random faults, one after another, on rooms in use (a seed repeats a run as far as time does).

Four participants in one room of a real server send each other numbered messages and play tones. Every few seconds
something breaks: a signalling link is cut or refused for a while, a resume is refused, a node fails, a participant is
migrated or told to join anew, the server is killed and started again. After each fault everybody has to be back, with
the same view of the room as the server's, and hear everybody; at the end nothing may be left.

Messages must come in order and once. One may be missing only if its sender or its receiver was being replaced (a
restart: the protocol drops what is sent to somebody who is out of the room, and loses what is on its way from
somebody whose session ends), and only if its sender was told: of as many packets of its own that may not have arrived,
or that may not have reached that receiver. Durable messages must not be missing at all.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bench.cutting import CutProxy

import aiolivekit
from aiolivekit import Room, RoomOptions
from aiolivekit.enums import ConnectionState, SimulateScenarioKind
from aiolivekit.testing import RealServer

__all__ = ["run"]

_SECONDS = 1800.0
_QUICK_SECONDS = 30.0
_BACK = 60.0
"""Seconds after a fault within which everybody has to be connected again."""
_HEARD = 20.0
_TOLD = 25.0
"""Seconds after which a sender has been told of everybody who was lost to the room."""
_PERIOD = 0.02
_DURABLE_PERIOD = 0.1
_RATE = 48_000
_AROUND = 2.0
"""Seconds around a restart in which messages of or to the one who restarts may be lost."""
_NAMES = ("alice", "bob", "carol", "dave")
_Kind = SimulateScenarioKind
_SIMULATED = (
    _Kind.SIMULATE_SIGNAL_RECONNECT,
    _Kind.SIMULATE_DISCONNECT_SIGNAL_ON_RESUME,
    _Kind.SIMULATE_FULL_RECONNECT,
    _Kind.SIMULATE_NODE_FAILURE,
    _Kind.SIMULATE_MIGRATION,
)


@dataclass
class _Inbox:
    """What one participant has received from another."""

    last: int = -1
    wrong: list[tuple[int, int]] = field(default_factory=list)
    """Numbers that were not above the one before them, with that one."""
    gaps: list[tuple[int, int, float]] = field(default_factory=list)
    """First missing number, the one that came instead, and when."""

    def take(self, number: int) -> None:
        if number <= self.last:
            self.wrong.append((number, self.last))
            return
        if number != self.last + 1:
            self.gaps.append((self.last + 1, number, time.monotonic()))
        self.last = number


class _Person:
    """A participant: sends, plays, and writes down what it receives."""

    def __init__(self, name: str, single: bool) -> None:
        self.name = name
        self.single = single
        self.room = Room()
        self.sent_at: list[float] = []
        self.inboxes: dict[str, _Inbox] = {}
        self.kept = 0
        self.kept_inboxes: dict[str, _Inbox] = {}
        self.kept_refused: list[str] = []
        self.missed = 0
        self.restarts: list[list[float]] = []
        self.undelivered = 0
        self.lost_on: Counter[str] = Counter()
        self.refused = 0
        self.ended = False
        self._sid = ""
        self._since = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._source = aiolivekit.AudioSource(_RATE, 1)
        self.room.on("data_received", self._received)
        self.room.on("reconnecting", self._reconnecting)
        self.room.on("reconnected", self._reconnected)
        self.room.on("data_undelivered", self._not_delivered)
        self.room.on("data_missed", self._told_of_missing)
        self.room.on("disconnected", self._disconnected)

    async def join(self, url: str, token: str) -> None:
        await self.room.connect(url, token, RoomOptions(single_peer_connection=self.single))
        self._sid = self.room.local_participant.sid
        track = aiolivekit.LocalAudioTrack.create_audio_track("tone", self._source)
        await self.room.local_participant.publish_track(track)

    def begin(self) -> None:
        """Send and play until closed; everybody is in the room."""
        sending = asyncio.create_task(self._send()), asyncio.create_task(self._send_durable())
        self._tasks = [*sending, asyncio.create_task(self._play())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()
        await self._source.aclose()

    async def stop_sending(self) -> None:
        """Send no more, and let what was sent arrive."""
        sending = self._tasks[:2]
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)

    def well(self, names: set[str]) -> bool:
        """Whether it is connected, and sees and hears all the others."""
        others = self.room.remote_participants
        return (
            self.room.connection_state is ConnectionState.CONN_CONNECTED
            and set(others) == names - {self.name}
            and all(
                any(each.subscribed and each.track is not None for each in other.track_publications.values())
                for other in others.values()
            )
        )

    async def _send(self) -> None:
        while True:
            number = len(self.sent_at)
            self.sent_at.append(time.monotonic())
            try:
                await self.room.local_participant.publish_data(b"%d" % number, topic="numbers")
            except aiolivekit.LiveKitError:
                self.refused += 1
            await asyncio.sleep(_PERIOD)

    async def _send_durable(self) -> None:
        while True:
            try:
                await self.room.local_participant.publish_data(b"%d" % self.kept, topic="durable", durable=True)
            except aiolivekit.LiveKitError as error:
                self.kept_refused.append(str(error))
            else:
                self.kept += 1
            await asyncio.sleep(_DURABLE_PERIOD)

    async def _play(self) -> None:
        step = 2 * np.pi * (300 + 100 * _NAMES.index(self.name)) / _RATE
        position = 0
        while True:
            samples = (np.sin((np.arange(960) + position) * step) * 10_000).astype(np.int16)
            await self._source.capture_frame(aiolivekit.AudioFrame(samples.tobytes(), _RATE, 1, 960))
            position += 960

    def _received(self, packet: Any) -> None:
        if packet.participant is not None:
            inboxes = self.inboxes if packet.topic == "numbers" else self.kept_inboxes
            inboxes.setdefault(packet.participant.identity, _Inbox()).take(int(packet.data))

    def _reconnecting(self) -> None:
        self._since = time.monotonic()

    def _reconnected(self) -> None:
        sid = self.room.local_participant.sid
        if sid != self._sid:
            self._sid = sid
            self.restarts.append([self._since, time.monotonic()])

    def _not_delivered(self, count: int, reason: str) -> None:
        if reason.endswith(" the room"):
            self.lost_on[reason.partition(" ")[0]] += count
        else:
            self.undelivered += count

    def _told_of_missing(self, _participant: Any, count: int) -> None:
        self.missed += count

    def _disconnected(self, _reason: Any) -> None:
        self.ended = True

    def out_at(self, moment: float) -> bool:
        """Whether it was being replaced around that time."""
        return any(began - _AROUND <= moment <= ended + _AROUND for began, ended in self.restarts)


@dataclass
class _Scene:
    server: RealServer
    people: dict[str, _Person]
    proxies: dict[str, CutProxy]
    rng: random.Random

    def some(self) -> list[str]:
        """Return one, two or all of them."""
        return self.rng.sample(sorted(self.people), self.rng.choice((1, 1, 2, len(self.people))))

    async def cut(self) -> str:
        names = self.some()
        for _ in range(times := self.rng.choice((1, 1, 3))):
            for name in names:
                self.proxies[name].cut()
            await asyncio.sleep(self.rng.uniform(0, 0.7))
        return f"signalling of {', '.join(names)} cut {times} times"

    async def refuse(self) -> str:
        names, seconds = self.some(), self.rng.uniform(0.1, 6.0)
        for name in names:
            await self.proxies[name].refuse()
        await asyncio.sleep(seconds)
        for name in names:
            await self.proxies[name].accept()
        return f"signalling of {', '.join(names)} refused for {seconds:.1f} s"

    async def simulate(self) -> str:
        names, kind = self.some(), self.rng.choice(_SIMULATED)
        for name in names:
            with suppress(aiolivekit.LiveKitError):
                await self.people[name].room.simulate_scenario(kind)
        return f"{kind.name.removeprefix('SIMULATE_').lower()} of {', '.join(names)}"

    async def kill(self) -> str:
        await asyncio.to_thread(self.server.kill)
        seconds = self.rng.uniform(0.0, 3.0)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.server.start)
        return f"server killed, and started {seconds:.1f} s later"

    async def one(self) -> str:
        """Let something break; return what."""
        faults: list[Callable[[], Awaitable[str]]] = [self.cut, self.refuse, self.simulate, self.simulate, self.kill]
        weights = [4, 3, 3, 2, 1]
        return await self.rng.choices(faults, weights)[0]()

    async def settled(self) -> str | None:
        """Wait until everybody is back; return who is not, and how."""
        names = set(self.people)
        end = time.monotonic() + _BACK
        while time.monotonic() < end:
            if any(person.ended for person in self.people.values()):
                break
            if all(person.well(names) for person in self.people.values()) and await self._seen_by_server() == names:
                return None
            await asyncio.sleep(0.1)
        return (
            "; ".join(
                f"{person.name}: {person.room.connection_state.name}, sees {sorted(person.room.remote_participants)}"
                for person in self.people.values()
                if not person.well(names)
            )
            or f"the server sees {sorted(await self._seen_by_server())}"
        )

    async def _seen_by_server(self) -> set[str]:
        try:
            found = await asyncio.to_thread(self.server.api, "RoomService/ListParticipants", {"room": "faults"})
        except (aiolivekit.LiveKitError, OSError):
            return set()
        return {each["identity"] for each in found.get("participants", [])}

    async def flowing(self) -> str | None:
        """Wait until everybody has got something new of everybody else."""
        before = {(a, b): self.inbox(a, b).last for a in self.people for b in self.people if a != b}
        end = time.monotonic() + _HEARD
        while time.monotonic() < end:
            dry = [pair for pair, last in before.items() if self.inbox(*pair).last <= last]
            if not dry:
                return None
            await asyncio.sleep(0.05)
        return "no messages: " + ", ".join(f"{sender} to {receiver}" for receiver, sender in dry)

    async def all_kept_there(self) -> None:
        """Wait until the durable messages have arrived everywhere, or for so long that they never will."""
        end = time.monotonic() + _HEARD
        while time.monotonic() < end and any(
            self.kept_inbox(a, b).last + 1 < self.people[b].kept for a in self.people for b in self.people if a != b
        ):
            await asyncio.sleep(0.05)

    async def all_told(self) -> None:
        """Wait until nothing more can be told of who is out of the room, if anything is left to be told."""
        end = time.monotonic() + _TOLD
        while time.monotonic() < end and any(self.untold(a, b) for a in self.people for b in self.people if a != b):
            await asyncio.sleep(0.05)

    def gaps(self, receiver: str, sender: str) -> list[tuple[int, int, float]]:
        """Return what is missing of somebody's messages at somebody."""
        inbox, person = self.inbox(receiver, sender), self.people[sender]
        found = [*inbox.gaps]
        if inbox.last + 1 < len(person.sent_at) - person.refused:
            found.append((inbox.last + 1, len(person.sent_at), time.monotonic()))
        return found

    def untold(self, receiver: str, sender: str) -> int:
        """Return how many more are missing than the sender was told of."""
        person = self.people[sender]
        lost = sum(following - first for first, following, _ in self.gaps(receiver, sender))
        return max(0, lost - person.undelivered - person.lost_on[receiver])

    def kept_inbox(self, receiver: str, sender: str) -> _Inbox:
        return self.people[receiver].kept_inboxes.setdefault(sender, _Inbox())

    def inbox(self, receiver: str, sender: str) -> _Inbox:
        return self.people[receiver].inboxes.setdefault(sender, _Inbox())


@asynccontextmanager
async def _scene(seed: int) -> AsyncIterator[_Scene]:
    async with AsyncExitStack() as stack:
        server = RealServer(departure_timeout=20, empty_timeout=60)
        await asyncio.to_thread(server.start)
        stack.push_async_callback(asyncio.to_thread, server.stop)
        scene = _Scene(server, {}, {}, random.Random(seed))
        for number, name in enumerate(_NAMES):
            proxy = await stack.enter_async_context(CutProxy(int(server.url.rpartition(":")[2])))
            person = _Person(name, single=number % 2 == 0)
            stack.push_async_callback(person.close)
            await person.join(f"ws://127.0.0.1:{proxy.port}", server.token(name, room="faults"))
            scene.people[name], scene.proxies[name] = person, proxy
        yield scene


async def run(*, quick: bool) -> dict[str, Any]:
    """Run with a seed of its own, or that in `FAULTS_SEED`; `FAULTS_SECONDS` says how long.

    After a problem the flight records of all are written below the directory that `FAULTS_FLIGHTS` names.
    """
    seed = int(os.environ.get("FAULTS_SEED", random.SystemRandom().randrange(10**6)))
    seconds = float(os.environ.get("FAULTS_SECONDS", _QUICK_SECONDS if quick else _SECONDS))
    # Threads, loop and library of the first room stay for the process; what comes on top must go.
    await _warm_up()
    before = _left()
    faults, problems = [], []
    began = time.monotonic()
    async with _scene(seed) as scene:
        problem = await scene.settled()
        if problem is not None:
            problems.append(f"before any fault: {problem}")
        for person in scene.people.values():
            person.begin()
        while problem is None and time.monotonic() - began < seconds:
            await asyncio.sleep(scene.rng.uniform(0.5, 4.0))
            fault = await scene.one()
            faults.append(fault)
            problem = await scene.settled() or await scene.flowing()
            if problem is not None:
                problems.append(f"after fault {len(faults)} ({fault}): {problem}")
                await _save_flights(scene, seed)
        for person in scene.people.values():
            await person.stop_sending()
        await scene.all_kept_there()
        await asyncio.sleep(2.0)
        await scene.all_told()
        counts = _judge(scene, problems)
    after = await _settled_left(before)
    if _more(after, before):
        problems.append(f"left over (descriptors, threads, tasks): {before} before, {after} after")
    return {
        "ok": not problems,
        "seed": seed,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "faults": len(faults),
        "server_killed": sum("killed" in each for each in faults),
        **counts,
        "problems": problems[:20],
    }


async def _save_flights(scene: _Scene, seed: int) -> None:
    """Write what each participant went through, if `FAULTS_FLIGHTS` names a directory."""
    if directory := os.environ.get("FAULTS_FLIGHTS"):
        for name, person in scene.people.items():
            path = Path(directory) / f"{seed}" / name
            await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True)
            await person.room.flight_recorder.save(path)


def _judge(scene: _Scene, problems: list[str]) -> dict[str, Any]:
    people = scene.people
    sent = missing = excused = untold = 0
    for receiver in people.values():
        problems += [f"{receiver.name}: a durable message was refused: {why}" for why in receiver.kept_refused]
        for sender in people.values():
            if receiver is sender:
                continue
            inbox = scene.inbox(receiver.name, sender.name)
            sent += len(sender.sent_at)
            problems += [f"{sender.name} to {receiver.name}: {n} after {last}" for n, last in inbox.wrong]
            kept = scene.kept_inbox(receiver.name, sender.name)
            pair = f"{sender.name} to {receiver.name}: durable"
            problems += [f"{pair} {n} after {last}" for n, last in kept.wrong]
            problems += [f"{pair} {first} to {following - 1} missing" for first, following, _ in kept.gaps]
            if kept.last + 1 < sender.kept:
                problems.append(f"{pair} {kept.last + 1} to {sender.kept - 1} missing at the end")
            gaps = scene.gaps(receiver.name, sender.name)
            if more := scene.untold(receiver.name, sender.name):
                problems.append(f"{sender.name} to {receiver.name}: of {more} missing messages nobody was told")
                untold += more
            missing += sum(following - first for first, following, _ in gaps)
            for first, following, _ in gaps:
                for number in range(first, following):
                    moment = sender.sent_at[number]
                    if sender.out_at(moment) or receiver.out_at(moment):
                        excused += 1
                    else:
                        problems.append(f"{sender.name} to {receiver.name}: message {number} is missing")
    return {
        "messages": sent,
        "durable_messages": (len(people) - 1) * sum(person.kept for person in people.values()),
        "durable_told_missing": sum(person.missed for person in people.values()),
        "missing_around_restarts": excused,
        "missing_otherwise": missing - excused,
        "missing_and_not_told": untold,
        "restarts": sum(len(person.restarts) for person in people.values()),
        "told_undelivered": sum(person.undelivered for person in people.values()),
        "told_lost_on_who_was_out": sum(sum(person.lost_on.values()) for person in people.values()),
    }


async def _warm_up() -> None:
    server = RealServer()
    await asyncio.to_thread(server.start)
    try:
        for _ in range(2):
            person = _Person("alice", single=True)
            await person.join(server.url, server.token("alice", room="warm"))
            person.begin()
            await asyncio.sleep(0.5)
            await person.close()
    finally:
        await asyncio.to_thread(server.stop)
    await asyncio.sleep(1.0)


def _left() -> tuple[int, int, int]:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), len(asyncio.all_tasks())


async def _settled_left(before: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return what is left once it is no more than before, or after a while."""
    end = time.monotonic() + 15
    while _more(after := _left(), before) and time.monotonic() < end:
        await asyncio.sleep(0.2)
    return after


def _more(after: tuple[int, int, int], before: tuple[int, int, int]) -> bool:
    return any(now > then for now, then in zip(after, before, strict=True))
