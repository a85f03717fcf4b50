"""The dev server as a process of its own (`python -m bench.raw.embedded`), as the real one is.

It writes one line of JSON with its address and key, answers each line of its input with one that holds its counters,
and ends with its input.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiolivekit.server import DevServer, ServerOptions
from aiolivekit.server.packet_faults import PacketFault
from aiolivekit.testing import access_token

from ..usage import Lateness, descriptors, raise_descriptor_limit, resident_bytes, threads

__all__ = ["EmbeddedServer"]

_CHECKOUT = Path(__file__).resolve().parents[2]
_ENDING = 20.0


class EmbeddedServer:
    """Runs a dev server in a child process, as a context manager.

    Args:
        host: The address it binds.
        prefix: What comes before the command, such as one that enters a network namespace.
    """

    def __init__(self, *, host: str = "127.0.0.1", prefix: Sequence[str] = ()) -> None:
        self._host = host
        self._prefix = prefix
        self.url = self.key = ""
        self.udp_port = self.tcp_port = 0
        self.counters: dict[str, Any] = {}
        self._key = self._secret = ""
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def token(self, identity: str, *, room: str) -> str:
        """Return a token to join a room."""
        return access_token(self._key, self._secret, identity, room=room)

    def look(self) -> dict[str, Any]:
        """Return what the process holds and has dropped."""
        return self._ask({"do": "look"})

    def lose(self, every: int) -> None:
        """Lose every nth packet that comes from a participant and every nth that goes to it; 0 ends that."""
        self._ask({"do": "lose", "every": every})

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*self._prefix, sys.executable, "-m", "bench.raw.embedded", self._host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_CHECKOUT,
        )
        assert self._process.stdout is not None
        about = json.loads(self._process.stdout.readline())
        self.url, self._key, self._secret = about["url"], about["key"], about["secret"]
        self.key, self.udp_port, self.tcp_port = about["key"], about["udp"], about["tcp"]
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        try:
            out, _ = self._process.communicate(timeout=_ENDING)
            self.counters = json.loads(out) if out else {}
        finally:
            self._process.kill()
            self._process.wait()


class _Errors(logging.Handler):
    """Counts what went wrong unforeseen, and keeps the last."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        self.last = logging.Formatter().format(record)[-2000:]


def _counters(server: DevServer, errors: _Errors, losses: list[PacketFault]) -> dict[str, Any]:
    gc.collect()
    return {
        "lost_by_fault": sum(fault.fired for fault in losses),
        "dropped": dict(server.core.mux.dropped),
        "kernel_dropped": _kernel_drops(server.core.mux.udp_port),
        "turned_away": server.core.turned_away,
        "errors": errors.count,
        "last_error": errors.last,
        "rooms": len(server.rooms),
        "participants": sum(len(room.participants) for room in server.rooms),
        "memory_mb": round(resident_bytes() / 1e6, 1),
        "descriptors": descriptors(),
        "threads": threads(),
        "tasks": len(asyncio.all_tasks()),
        "objects": len(gc.get_objects()),
    }


def _lose(server: DevServer, every: int) -> list[PacketFault]:
    """Install the faults; each participant and each way counts for itself, as each network path would."""
    found: list[PacketFault] = []
    server.faults.packets.clear()
    for room in server.rooms if every else ():
        for identity in room.participants:
            for direction in ("in", "out"):
                fault = server.faults.drop_packets(
                    "any", identity=identity, direction=direction, nth=every, every=every, count=0
                )
                found.append(fault)
    return found


def _kernel_drops(port: int) -> int:
    """Return how many datagrams the kernel dropped because the server did not read them in time."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        words = line.split()
        if int(words[1].partition(":")[2], 16) == port:
            return int(words[-1])
    return 0


async def _serve() -> None:
    errors, losses = _Errors(), list[PacketFault]()
    logging.getLogger().addHandler(errors)
    async with DevServer(host=sys.argv[1], options=ServerOptions(departure_timeout=1)) as server:
        mux = server.core.mux
        about = {"url": server.url, "key": server.api_key, "secret": server.api_secret}
        print(json.dumps({**about, "udp": mux.udp_port, "tcp": mux.tcp_port}), flush=True)
        lateness = Lateness()
        watching = asyncio.create_task(lateness.watch())
        reader = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        try:
            while line := await reader.readline():
                question = json.loads(line)
                if question["do"] == "lose":
                    losses += _lose(server, question["every"])
                print(json.dumps({**lateness.figures(), **_counters(server, errors, losses)}), flush=True)
        finally:
            pipe.close()
            watching.cancel()
        print(json.dumps({**lateness.figures(), **_counters(server, errors, losses)}), flush=True)


if __name__ == "__main__":
    raise_descriptor_limit()
    asyncio.run(_serve())
