"""A cluster of real LiveKit servers on loopback: several nodes and the Redis they share.

It needs `redis-server` on the path (Debian's package of that name). A room lives on one node; whoever connects to
another one has its signalling passed on through Redis, and its media goes to the room's node directly.
"""

from __future__ import annotations

import atexit
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ._process import kill_group
from .real_server import RealServer, ServerStartError
from .server_binary import ServerUnavailableError

__all__ = ["LiveKitCluster", "RedisUnavailableError", "find_redis"]

_LOOPBACK = "127.0.0.1"
_REDIS_START_TRIES = 5
_REDIS_START_LIMIT = 10.0
_REDIS_TIMEOUT = 5.0
_NODES = "nodes"
_ROOM_NODES = "room_node_map"
"""Hashes that the server keeps in Redis (redisrouter.go)."""


class RedisUnavailableError(ServerUnavailableError):
    """There is no `redis-server` on the path."""


def find_redis() -> Path:
    """Return the path of `redis-server`.

    Raises:
        RedisUnavailableError: If there is none.
    """
    found = shutil.which("redis-server")
    if found is None:
        raise RedisUnavailableError("there is no redis-server on the path (Debian: apt-get install redis-server)")
    return Path(found)


class LiveKitCluster:
    """Real servers that share a Redis and their keys, as a context manager; its methods block.

    Args:
        nodes: How many servers.
        binary: The server to run, as for `RealServer`.
        config: What else to put into every server's configuration.
    """

    def __init__(self, nodes: int = 2, *, binary: Path | None = None, config: Mapping[str, Any] | None = None) -> None:
        if nodes < 1:
            raise ValueError("a cluster has a node at least")
        self._count = nodes
        self._binary = binary
        self._config = dict(config or {})
        self._redis = _Redis()
        self._ids: list[str] = []
        self.nodes: list[RealServer] = []
        """The servers, in the order of their start."""

    # -- life --

    def start(self) -> None:
        """Start Redis and the servers; `with` does it, if that has not been done.

        Raises:
            RedisUnavailableError: If there is no Redis.
            ServerUnavailableError: If there is no server to run.
            ServerStartError: If something does not come up.
        """
        if self.nodes:
            return
        try:
            self._redis.start()
            for _ in range(self._count):
                self._add_node()
        except BaseException:
            self.stop()
            raise

    def _add_node(self) -> None:
        redis = {"redis": {"address": f"{_LOOPBACK}:{self._redis.port}"}}
        node = RealServer(binary=self._binary, config=redis | self._config)
        if self.nodes:
            node.api_key, node.api_secret = self.nodes[0].api_key, self.nodes[0].api_secret
        self.nodes.append(node)
        before = self._known_ids()
        node.start()
        new = self._known_ids() - before
        if len(new) != 1:
            raise ServerStartError(f"the server did not register itself at Redis\n{node.log[-2000:]}")
        self._ids.append(new.pop())

    def stop(self) -> None:
        """Kill everything; does nothing if nothing runs."""
        for node in self.nodes:
            node.stop()
        self.nodes, self._ids = [], []
        self._redis.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # -- rooms and nodes --

    def token(self, identity: str, *, room: str = "room", **claims: Any) -> str:
        """Return an access token, good at every node; `claims` are the other arguments of `access_token`."""
        return self.nodes[0].token(identity, room=room, **claims)

    def create_room(self, name: str, *, on: int) -> None:
        """Make a room on a node.

        Args:
            name: The room's name.
            on: The node's place in `nodes`.

        Raises:
            ServerStartError: If the server refuses, or puts it elsewhere.
        """
        self.nodes[on].api("RoomService/CreateRoom", {"name": name, "node_id": self._ids[on]})
        if self.node_of(name) != on:
            raise ServerStartError(f"the room was made on node {self.node_of(name)} instead of {on}")

    def node_of(self, room: str) -> int | None:
        """Return the place in `nodes` of the node a room is on; `None` if there is no such room."""
        found = self._redis.ask("HGET", _ROOM_NODES, room)
        return self._ids.index(found[0]) if found and found[0] in self._ids else None

    def kill(self, node: int) -> None:
        """Kill a node, as a crash would; the others find out by themselves."""
        self.nodes[node].kill()

    def _known_ids(self) -> set[str]:
        return set(self._redis.ask("HKEYS", _NODES))


class _Redis:
    """A Redis that keeps nothing."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None

    def start(self) -> None:
        binary = find_redis()
        self._directory = Path(tempfile.mkdtemp(prefix="aiolivekit-redis-"))
        atexit.register(self.stop)
        for _ in range(_REDIS_START_TRIES):
            with socket.socket() as free:
                free.bind((_LOOPBACK, 0))
                self.port = free.getsockname()[1]
            options = {"bind": _LOOPBACK, "port": str(self.port), "save": "", "dir": str(self._directory)}
            arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
            self._process = subprocess.Popen(  # noqa: S603 - the path is the user's own
                [binary, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            if self._answers(self._process):
                return
            kill_group(self._process)
        raise ServerStartError("Redis did not come up")

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _REDIS_START_LIMIT
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                return self.ask("PING") == ["PONG"] and process.poll() is None
            time.sleep(0.01)
        return False

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            kill_group(process)
        atexit.unregister(self.stop)
        directory, self._directory = self._directory, None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)

    def ask(self, *words: str) -> list[str]:
        """Give a command and return the texts of the answer (RESP2); raises `OSError`."""
        request = b"*%d\r\n" % len(words)
        for word in words:
            encoded = word.encode()
            request += b"$%d\r\n%s\r\n" % (len(encoded), encoded)
        with (
            socket.create_connection((_LOOPBACK, self.port), timeout=_REDIS_TIMEOUT) as connection,
            connection.makefile("rb") as answer,
        ):
            connection.sendall(request)
            return _texts(answer.readline, answer.read)


def _texts(readline: Any, read: Any) -> list[str]:
    line: bytes = readline()
    kind, rest = line[:1], line[1:].strip()
    if kind == b"+":
        return [rest.decode()]
    if kind == b"$":
        return [] if rest == b"-1" else [read(int(rest) + 2)[:-2].decode(errors="replace")]
    if kind == b"*":
        return [text for _ in range(int(rest)) for text in _texts(readline, read)]
    raise OSError(f"Redis answered {line[:50]!r}")
