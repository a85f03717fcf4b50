"""Participants that send and count; in this process, or in one of their own (`python -m tests.netns.person`)."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiolivekit
from aiolivekit import Room, RoomOptions
from aiolivekit.enums import TrackKind

from ..e2e import media
from ..e2e.sdk import DEADLINE, Recorder, until

__all__ = ["Inside", "Person", "inside"]

_LIMIT = 60.0
_LEAVING = 20.0
_LARGEST = 3000
_LATE = 10


class Person:
    """Somebody in a room with one other, with a tone and numbered messages.

    Every method answers with what JSON can hold.
    """

    def __init__(self) -> None:
        self.room = Room()
        self._events = Recorder(self.room)
        self._heard: list[int] = []
        self._reports: list[dict[str, Any]] = []
        self._undelivered = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._sending: asyncio.Task[None] | None = None
        self._source: Any = None
        self._joined = 0.0
        self.room.on("data_received", lambda packet: self._heard.append(int(packet.data)))
        self.room.on("reconnect_reported", self._reported)
        self.room.on("data_undelivered", self._not_delivered)

    def _reported(self, report: Any) -> None:
        self._reports.append(
            {
                "succeeded": report.succeeded,
                "source": report.cause.source,
                "modes": list(report.modes),
                "attempts": report.attempts,
                "duration": round(report.duration, 2),
                "at": round(time.monotonic() - self._joined, 2),
            }
        )

    def _not_delivered(self, count: int, reason: str) -> None:
        # Of those for somebody who was out of the room nothing is asked: who it was, and why, shows in the view.
        if not reason.endswith(" the room"):
            self._undelivered += count

    async def join(self, url: str, token: str, single: bool, frequency: float) -> None:
        """Join, and publish a tone."""
        await self.room.connect(url, token, RoomOptions(single_peer_connection=single))
        self._joined = time.monotonic()
        self._source = aiolivekit.AudioSource(media.RATE, 1)
        self._tasks.append(asyncio.create_task(media.play_tone(aiolivekit, self._source, frequency)))
        track = aiolivekit.LocalAudioTrack.create_audio_track("tone", self._source)
        await self.room.local_participant.publish_track(track)

    async def send(self, first: int, count: int, pause: float, seed: int | None = None) -> None:
        """Begin to send messages, numbered from `first`.

        Args:
            first: The first number.
            count: How many there are.
            pause: Seconds between two.
            seed: Have them differ in size, up to several packets of the network, and in the pauses between them.
        """
        dice = None if seed is None else random.Random(seed)

        async def send() -> None:
            for number in range(first, first + count):
                # `int` takes no notice of spaces.
                text = str(number) + " " * (dice.randint(0, _LARGEST) if dice is not None else 0)
                await self.room.local_participant.publish_data(text)
                await asyncio.sleep(pause if dice is None else dice.uniform(0, 2 * pause))

        self._sending = asyncio.create_task(send())

    async def sent(self) -> None:
        """Wait until all were sent; raises what one of them failed with."""
        assert self._sending is not None
        await self._sending

    async def hear(self, last: int) -> list[int]:
        """Wait for a message, and return all that have come since the last call."""
        with suppress(AssertionError):  # The numbers say more.
            await until(lambda: last in self._heard[-_LATE:], f"message {last}")
        heard, self._heard = self._heard, []
        return heard

    async def listen(self, frequency: float) -> float:
        """Listen until that tone is heard; return the frequency that is, in hertz."""

        def tracks() -> list[Any]:
            publications = [
                each for other in self.room.remote_participants.values() for each in other.track_publications.values()
            ]
            return [each.track for each in publications if each.track and each.kind == TrackKind.KIND_AUDIO]

        await until(lambda: bool(tracks()), "a track")
        sound = await media.listen_until(
            aiolivekit, tracks()[0], 0.3, lambda heard: abs(media.peak_frequency(heard) - frequency) < 10
        )
        return media.peak_frequency(sound)

    async def reported(self, least: int, limit: float = DEADLINE) -> list[dict[str, Any]]:
        """Wait for so many reports of reconnecting, and return all."""
        async with asyncio.timeout(limit):
            while len(self._reports) < least:
                await asyncio.sleep(0.02)
        return self._reports

    async def failed(self) -> None:
        """Wait until resuming has been given up for joining anew."""

        def restarts() -> bool:
            return any(
                record.what == "reconnecting" and record.fields.get("mode") == "restart"
                for record in self.room.flight_recorder.records()
            )

        async with asyncio.timeout(_LIMIT):
            while not restarts():
                await asyncio.sleep(0.05)

    async def look(self) -> dict[str, Any]:
        """Return how things are now."""
        me = self.room.local_participant
        return {
            "state": self.room.connection_state.name,
            "undelivered": self._undelivered,
            "unasked": self._heard,
            "single": self.room.single_peer_connection,
            "view": {
                each.identity: [each.sid, sorted(each.track_publications)]
                for each in (me, *self.room.remote_participants.values())
            },
            "events": [name for name, _ in self._events.events if name in ("reconnecting", "reconnected")],
        }

    async def flight(self, path: str) -> None:
        """Write the flight record, for who looks for a fault."""
        self.room.flight_recorder.write_jsonl(path)

    async def leave(self) -> None:
        """Leave."""
        for task in [*self._tasks, *([self._sending] if self._sending is not None else [])]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()
        if self._source is not None:
            await self._source.aclose()


class Inside:
    """Persons in a process of their own; made by `inside`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()

    def person(self, name: str) -> Any:
        """Return somebody who has the methods of `Person`, in the other process."""
        return _There(self, name)

    async def ask(self, name: str, method: str, arguments: tuple[Any, ...]) -> Any:
        """Call a method of a person there."""
        assert self._process.stdin is not None
        number = next(self._numbers)
        self._answers[number] = answer = asyncio.get_running_loop().create_future()
        try:
            self._process.stdin.write(json.dumps([number, name, method, *arguments]).encode() + b"\n")
            async with asyncio.timeout(_LIMIT):
                return await answer
        finally:
            del self._answers[number]

    async def read(self) -> None:
        """Take answers until there are no more."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            answer = self._answers.get(said["number"])
            if answer is None or answer.done():
                continue
            if "error" in said:
                answer.set_exception(AssertionError(f"inside: {said['error']}"))
            else:
                answer.set_result(said["result"])
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(AssertionError("the process inside ended"))


class _There:
    def __init__(self, process: Inside, name: str) -> None:
        self._process = process
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        return lambda *arguments: self._process.ask(self._name, method, arguments)


@asynccontextmanager
async def inside(enter: list[str]) -> AsyncIterator[Inside]:
    """Start a process for persons.

    Args:
        enter: What comes before the command.
    """
    process = await asyncio.create_subprocess_exec(
        *enter,
        *(sys.executable, "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
        # The other end of the link is all that is to be reached.
        env={name: value for name, value in os.environ.items() if name != "WRTC_ALLOW_LOOPBACK"},
    )
    there = Inside(process)
    reading = asyncio.create_task(there.read())
    try:
        yield there
        # It ends with its input.
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(_LEAVING):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading


async def _main() -> None:
    questions = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    persons: dict[str, Person] = {}
    working: set[asyncio.Task[None]] = set()

    async def answer(number: int, name: str, method: str, *arguments: Any) -> None:
        try:
            said = {"result": await getattr(persons[name], method)(*arguments)}
        except Exception as error:  # noqa: BLE001 - raised by who asked
            said = {"error": f"{name}, {method}: {type(error).__name__}: {error}"}
        print(json.dumps({"number": number, **said}), flush=True)

    try:
        while line := await questions.readline():
            question = json.loads(line)
            if question[1] not in persons:
                persons[question[1]] = Person()
            task = asyncio.create_task(answer(*question))
            working.add(task)
            task.add_done_callback(working.discard)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await asyncio.gather(*(person.leave() for person in persons.values()))


if __name__ == "__main__":
    asyncio.run(_main())
