"""A real LiveKit server as a child process on loopback, for tests, the demo and the benchmark.

`python -m aiolivekit.testing.real_server` builds the server if need be and prints where its binary is.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from ..core.access_token import access_token
from ..errors import LiveKitError
from ._process import kill_group
from .server_binary import ServerUnavailableError, find_server

__all__ = ["RealServer", "ServerStartError"]

_START_TRIES = 5
_LOOPBACK = "127.0.0.1"
_PORT_TAKEN = ("address already in use", "Only one usage of each socket address")


class ServerStartError(LiveKitError):
    """The server did not come up; the message ends with the last lines of its log."""


class _Ports(NamedTuple):
    signal: int
    udp: int
    tcp: int


class RealServer:
    """A LiveKit server with a fresh key on free ports of loopback.

    Use it with `start` and `stop`, or as a context manager, `with` or `async with`. It may be started again
    after it was stopped. What it logs (warnings and above) is in `log`.

    Args:
        binary: The server to run; `find_server` looks for one, or builds it, when `None`.
        udp: Whether media and data can take UDP; otherwise ICE over TCP is all the server offers.
        auto_create: Whether a room is made when the first participant joins.
        empty_timeout: Seconds a room stays that nobody has joined.
        departure_timeout: Seconds a room stays after its last participant left.
        ports: Of HTTP and WebSocket, of media over UDP and over TCP; 0 takes a free one.
        config: What else to put into the server's configuration, merged into it key by key.
        log_path: Where the log goes; a temporary file, gone after `stop`, when `None`.
        start_timeout: Seconds for the server to answer.
    """

    def __init__(
        self,
        *,
        binary: Path | None = None,
        udp: bool = True,
        auto_create: bool = True,
        empty_timeout: int = 60,
        departure_timeout: int = 20,
        ports: tuple[int, int, int] = (0, 0, 0),
        config: Mapping[str, Any] | None = None,
        log_path: Path | None = None,
        start_timeout: float = 20.0,
    ) -> None:
        self.api_key = "aiolivekit"
        self.api_secret = secrets.token_urlsafe(32)
        self._binary = binary
        self._udp = udp
        self._wanted_ports = _Ports(*ports)
        self._room = {
            "auto_create": auto_create,
            "empty_timeout": empty_timeout,
            "departure_timeout": departure_timeout,
        }
        self._extra = config or {}
        self._given_log_path = log_path
        self._start_timeout = start_timeout
        self._ports: _Ports | None = None
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._last_log = ""
        self._log_start = 0

    # -- life --

    def start(self, *, cancelled: threading.Event | None = None) -> None:
        """Start the server and wait until it answers; does nothing if it runs.

        After `kill` it comes back on the ports it had, so clients find it again.

        Args:
            cancelled: Ends the start when it is set, and leaves nothing running.

        Raises:
            ServerUnavailableError: If there is no server to run.
            ServerStartError: If it does not answer in time, ends at once or was cancelled.
            OSError: If one of the ports asked for is taken.
        """
        if self.running:
            return
        cancelled = cancelled if cancelled is not None else threading.Event()
        if self._binary is None:
            self._binary = find_server(cancelled=cancelled)
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="aiolivekit-server-"))
        atexit.register(self.stop)
        again = self._ports is not None
        deadline = time.monotonic() + self._start_timeout
        try:
            for _ in range(_START_TRIES):
                if self._ports is None:
                    self._ports = _free_ports(self._wanted_ports)
                self._launch(self._ports)
                if self._wait_until_ready(deadline, cancelled):
                    return
                # Somebody else took a port between our look and the server's. Ports we had come free again.
                if again:
                    cancelled.wait(0.2)
                else:
                    self._ports = None
            raise ServerStartError(f"the server found no free ports\n{self.log[-2000:]}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill the server and remove what it left; does nothing if it does not run."""
        self.kill()
        atexit.unregister(self.stop)
        self._ports = None
        directory, self._directory = self._directory, None
        if directory is not None:
            self._last_log = self._read_log(directory)
            shutil.rmtree(directory, ignore_errors=True)

    def kill(self) -> None:
        """Kill the server at once, as a crash would; `start` brings it back on the same ports."""
        process, self._process = self._process, None
        if process is None:
            return
        # Not SIGTERM: the server would wait for its participants to leave.
        kill_group(process)

    def restart(self) -> None:
        """Kill the server and start it again on the same ports; rooms and participants are gone.

        Raises:
            ServerStartError: If it does not come back.
        """
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        cancelled = threading.Event()
        starting = asyncio.create_task(asyncio.to_thread(self.start, cancelled=cancelled))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            cancelled.set()
            await asyncio.wait({starting})
            if not starting.cancelled() and starting.exception() is None:
                self.stop()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Killing takes milliseconds; a thread would only add an await that can be cancelled.
        self.stop()

    # -- what it is --

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def url(self) -> str:
        """The URL to connect to, `ws://127.0.0.1:port`."""
        return f"ws://{_LOOPBACK}:{self._known_ports().signal}"

    @property
    def http_url(self) -> str:
        """The same as `http://…`, for the server's API."""
        return f"http://{_LOOPBACK}:{self._known_ports().signal}"

    @property
    def log(self) -> str:
        """What the server has logged, also after `stop`."""
        return self._read_log(self._directory) if self._directory is not None else self._last_log

    def token(self, identity: str, *, room: str = "room", **claims: Any) -> str:
        """Return an access token for this server; `claims` are the other arguments of `access_token`."""
        return access_token(self.api_key, self.api_secret, identity, room=room, **claims)

    def api(self, method: str, body: Mapping[str, Any] | None = None, *, timeout: float = 5.0) -> dict[str, Any]:
        """Call the server's API, blocking, and return its answer.

        Args:
            method: Service and method, such as `RoomService/CreateRoom`.
            body: The request in the JSON form of its protobuf message.
            timeout: Seconds for the answer.

        Raises:
            ServerStartError: If the server answers with an error; the message carries its words.
            OSError: If it does not answer.
        """
        body = body or {}
        room = str(body.get("room") or body.get("name") or "")
        token = self.token("api", room=room, room_admin=True, room_create=True, room_list=True)
        connection = http.client.HTTPConnection(_LOOPBACK, self._known_ports().signal, timeout=timeout)
        try:
            connection.request(
                "POST",
                f"/twirp/livekit.{method}",
                json.dumps(body),
                {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            )
            response = connection.getresponse()
            answer = response.read().decode(errors="replace")
        finally:
            connection.close()
        if response.status != 200:
            raise ServerStartError(f"{method} was refused with status {response.status}: {answer[:500]}")
        result: dict[str, Any] = json.loads(answer)
        return result

    # -- inside --

    def _known_ports(self) -> _Ports:
        if self._ports is None:
            raise ServerStartError("the server was not started")
        return self._ports

    def _configuration(self, ports: _Ports) -> dict[str, Any]:
        rtc: dict[str, Any] = {
            "tcp_port": ports.tcp,
            "node_ip": _LOOPBACK,
            "use_external_ip": False,
            "enable_loopback_candidate": True,
            "ips": {"includes": [f"{_LOOPBACK}/32"]},
            # Clients are told these. The default are names, and where no resolver answers each connection
            # leaves threads of libwebrtc blocked on them for many seconds.
            "stun_servers": [f"{_LOOPBACK}:3478"],
        }
        if self._udp:
            rtc["udp_port"] = ports.udp
        else:
            rtc["force_tcp"] = True
        base: dict[str, Any] = {
            "port": ports.signal,
            "bind_addresses": [_LOOPBACK],
            "rtc": rtc,
            "room": self._room,
            "keys": {self.api_key: self.api_secret},
            "logging": {"level": "warn", "json": False},
            "enable_data_tracks": True,
            "enable_participant_data_blob": True,
        }
        return _merged(base, self._extra)

    def _launch(self, ports: _Ports) -> None:
        assert self._binary is not None
        assert self._directory is not None
        config = self._directory / "config.yaml"
        # Every JSON text is a YAML text.
        config.write_text(json.dumps(self._configuration(ports)))
        # The server takes settings from the environment, which would override ours.
        kept = ("HOME", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        self._log_start = len(self.log)
        with self._log_path(self._directory).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the path is the user's own
                [self._binary, "--config", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                env=environment,
                # Its own group, so that an interrupt at the terminal does not take it from under the tests.
                start_new_session=True,
            )

    def _wait_until_ready(self, deadline: float, cancelled: threading.Event) -> bool:
        """Return whether the server answers; `False` if it ended because a port was taken."""
        assert self._process is not None
        while True:
            if self._process.poll() is not None:
                log = self.log[self._log_start :]
                if any(words in log for words in _PORT_TAKEN):
                    return False
                status = self._process.returncode
                raise ServerStartError(f"the server ended with status {status}\n{log[-2000:]}")
            try:
                # With our own key: should somebody else's server have got the port, it will not take it.
                self.api("RoomService/ListRooms", timeout=1.0)
            except (OSError, http.client.HTTPException, ServerStartError, ValueError):
                pass
            else:
                if self.running:
                    return True
            if time.monotonic() > deadline:
                raise ServerStartError(f"the server does not answer\n{self.log[-2000:]}")
            if cancelled.wait(0.01):
                raise ServerStartError("the start was cancelled")

    def _log_path(self, directory: Path) -> Path:
        return self._given_log_path or directory / "server.log"

    def _read_log(self, directory: Path) -> str:
        with contextlib.suppress(OSError):
            return self._log_path(directory).read_text(errors="replace")
        return ""


def _free_ports(wanted: _Ports) -> _Ports:
    """Return ports that were free a moment ago; all are held at once, so they differ.

    Args:
        wanted: Those that are asked for; 0 for any.

    Raises:
        OSError: If one that is asked for is taken.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as for_signal,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as for_tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as for_udp,
    ):
        if os.name == "posix":
            # As the server does: a port whose connections have just ended is free.
            for each in (for_signal, for_tcp):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for_signal.bind((_LOOPBACK, wanted.signal))
        # The server listens for ICE over TCP on every address (it has no setting for that).
        for_tcp.bind(("0.0.0.0", wanted.tcp))  # noqa: S104
        for_udp.bind((_LOOPBACK, wanted.udp))
        return _Ports(for_signal.getsockname()[1], for_udp.getsockname()[1], for_tcp.getsockname()[1])


def _merged(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in extra.items():
        inner = result.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(inner, value) if both else value  # type: ignore[arg-type]
    return result


def main() -> int:
    """Build the server if need be and print the path of its binary; return the exit status."""
    try:
        print(find_server())
    except ServerUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
