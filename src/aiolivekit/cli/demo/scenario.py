"""What the demo does, from joining to leaving."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ... import Room, RoomOptions
from ..connection import allow_loopback
from .figures import save_frame, save_picture_figure, save_sound, save_tone_figure
from .media import exchange_picture, exchange_tone
from .picture import PictureReading, Pixels, check_pictures
from .result import Check, DemoResult
from .servers import Passage, ServerUnderDemo, Tell
from .text import check_text, exchange_text
from .tone import ToneReading, check_tone, read_melody

__all__ = ["run_demo"]


async def run_demo(server: ServerUnderDemo, output: Path, tell: Tell, *, dual: bool) -> DemoResult:
    """Let two participants meet, exchange text, a tone and a moving picture, and write down what arrived.

    Raises:
        LiveKitError: If they cannot meet, or a track does not arrive at all.
        OSError: If the files cannot be written.
    """
    allow_loopback(server.url)
    result = DemoResult(server.name)
    start = time.perf_counter()
    name = f"demo-{secrets.token_hex(4)}"
    tell("alice and bob join a room")
    async with (
        _joined(server, name, "alice", result, dual=dual) as alice,
        _joined(server, name, "bob", result, dual=dual) as bob,
    ):
        result.single_peer_connection = alice.single_peer_connection and bob.single_peer_connection
        tell("they write to each other")
        await _text(alice, bob, result)
        tell("alice plays four notes; bob sends a moving picture")
        take = await _media(alice, bob)
        if not take.complete:
            # What a machine busy with other things does to real time says nothing about us.
            tell("something was missing; once more")
            take = await _media(alice, bob)
            result.numbers["sound and picture"] = "second take, the first was incomplete"
        # The server tells of those who publish at once, of others every few seconds.
        sees = [list(alice.remote_participants) == ["bob"], list(bob.remote_participants) == ["alice"]]
        result.checks.insert(0, check_room(*sees))
        passages = server.passages(name)
        if passages:
            result.checks.insert(1, check_passage(passages))
    tell("checking what arrived")
    await asyncio.to_thread(_save, take, output, result)
    result.seconds = time.perf_counter() - start
    return result


@asynccontextmanager
async def _joined(
    server: ServerUnderDemo, name: str, identity: str, result: DemoResult, *, dual: bool
) -> AsyncIterator[Room]:
    async with Room() as room:
        start = time.perf_counter()
        await room.connect(server.url, server.token(identity, name), RoomOptions(single_peer_connection=not dual))
        result.numbers[f"{identity} joined in"] = f"{(time.perf_counter() - start) * 1000:.0f} ms"
        yield room


def check_room(alice_sees_bob: bool, bob_sees_alice: bool) -> Check:
    """Whether the two know of each other, and of nobody else."""
    both = alice_sees_bob and bob_sees_alice
    return Check("room", "they see each other", both, "both do" if both else "not both", "alice and bob alone")


def check_passage(passages: Mapping[str, Passage]) -> Check:
    """Whether sound and picture went through the server: each sends one track and receives the other's."""
    alice, bob = (passages.get(identity, Passage(0, 0)) for identity in ("alice", "bob"))
    through = all(count > 0 for each in (alice, bob) for count in (each.taken, each.given))
    # What is lost on the way in is not sent on, but what is lost on the way out may be sent again.
    words = f"sound {alice.taken} → {bob.given}, picture {bob.taken} → {alice.given}"
    return Check("room", "went through the server", through, words, "RTP packets, in → out")


@dataclass(frozen=True, slots=True)
class _Take:
    """What arrived of the sound and of the picture."""

    tone: ToneReading
    readings: list[PictureReading]
    pixels: Pixels | None

    @property
    def checks(self) -> list[Check]:
        return [*check_tone(self.tone), *check_pictures(self.readings)]

    @property
    def complete(self) -> bool:
        return all(check.passed for check in self.checks)


async def _media(alice: Room, bob: Room) -> _Take:
    async with asyncio.TaskGroup() as group:
        tone = group.create_task(exchange_tone(alice, bob))
        picture = group.create_task(exchange_picture(bob, alice))
    heard = await asyncio.to_thread(read_melody, tone.result())
    return _Take(heard, *picture.result())


async def _text(alice: Room, bob: Room, result: DemoResult) -> None:
    reading = await exchange_text(alice, bob)
    result.conversation = reading.conversation
    result.checks += check_text(reading)
    result.numbers["messages, both ways at once"] = f"{reading.rate:,.0f} a second"
    if reading.round_trip is not None:
        result.numbers["message there and back"] = f"{reading.round_trip * 1000:.2f} ms (median)"


def _save(take: _Take, output: Path, result: DemoResult) -> None:
    result.checks += take.checks
    sizes = sorted({(reading.width, reading.height) for reading in take.readings})
    result.numbers["frame size"] = ", ".join(f"{width}x{height}" for width, height in sizes)
    output.mkdir(parents=True, exist_ok=True)
    # What is shown is what this run has found, or nothing.
    files = {name: output / name for name in ("tone.png", "tone.wav", "picture.png", "frame.png")}
    for path in files.values():
        path.unlink(missing_ok=True)
    if take.tone.notes:
        save_tone_figure(take.tone, files["tone.png"])
        save_sound(take.tone.samples, files["tone.wav"])
    if take.pixels is not None:
        save_picture_figure(take.readings, take.pixels, files["picture.png"])
        save_frame(take.pixels, files["frame.png"])
    result.files = [path for path in files.values() if path.exists()]
