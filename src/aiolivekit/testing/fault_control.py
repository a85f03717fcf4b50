"""The faults of an embedded server, for a test on another thread.

The methods are those of `aiolivekit.server.Faults`, carried over to the server's loop; they return when the fault is
in place.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from ..server.fault import Fault, Fired, Hold
from ..server.faults import Faults
from ..server.packet_faults import PacketFault

__all__ = ["FaultControl", "FaultHandle", "HoldHandle"]

P = ParamSpec("P")
T = TypeVar("T")
AnyFault = Fault | PacketFault


class _Call(Protocol):
    def __call__(self, function: Callable[[], T], /) -> T: ...


class _Submit(Protocol):
    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> Future[T]: ...


class FaultHandle:
    """A fault that was installed.

    Args:
        control: The faults it belongs to.
        fault: The fault itself, on the server's loop.
    """

    def __init__(self, control: FaultControl, fault: AnyFault) -> None:
        self._control = control
        self._fault = fault

    @property
    def name(self) -> str:
        """The method that installed it."""
        return self._fault.name

    @property
    def identity(self) -> str | None:
        """Whom it concerns; `None` for everybody."""
        return self._fault.identity

    @property
    def fired(self) -> int:
        """How often it has fired."""
        return self._fault.fired

    @property
    def seen(self) -> int:
        """How many matching events there were."""
        return self._fault.seen

    @property
    def spent(self) -> bool:
        """Whether it will not fire again."""
        return self._fault.spent

    def lift(self) -> None:
        """Remove it."""
        self._control.call(self._fault.lift)

    async def wait_fired(self, times: int = 1, timeout: float = 10.0) -> None:
        """Wait on the caller's event loop until it has fired that often.

        Raises:
            TimeoutError: If it has not in time.
            RuntimeError: If the server is stopped meanwhile.
        """
        await asyncio.wrap_future(self._control.submit(self._fired_so_often(times, timeout)))

    def wait_fired_blocking(self, times: int = 1, timeout: float = 10.0) -> None:
        """The same for a test without an event loop."""
        future = self._control.submit(self._fired_so_often(times, timeout))
        try:
            # The server keeps the time; ours is for a server that hangs.
            future.result(timeout + 5.0)
        finally:
            future.cancel()

    async def _fired_so_often(self, times: int, timeout: float) -> None:
        try:
            await self._fault.wait_fired(times, timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{self!r}; {times} times were expected within {timeout:g} s") from error

    def __repr__(self) -> str:
        whom = "everybody" if self.identity is None else self.identity
        return f"<{self.name} for {whom}: fired {self.fired} times>"


class HoldHandle(FaultHandle):
    """A fault that holds messages back until it is released."""

    def __init__(self, control: FaultControl, hold: Hold) -> None:
        super().__init__(control, hold)
        self._hold = hold

    @property
    def held(self) -> int:
        """How many messages it holds."""
        return len(self._hold.held)

    def release(self) -> None:
        """Send what was held, in order, and hold no more."""
        self._control.call(self._hold.release)


def _installs(
    method: Callable[Concatenate[Faults, P], AnyFault],
) -> Callable[Concatenate[FaultControl, P], FaultHandle]:
    @functools.wraps(method)
    def install(self: FaultControl, /, *args: P.args, **kwargs: P.kwargs) -> FaultHandle:
        return self.note(FaultHandle(self, self.call(lambda: method(self.faults, *args, **kwargs))))

    return install


def _holds(method: Callable[Concatenate[Faults, P], Hold]) -> Callable[Concatenate[FaultControl, P], HoldHandle]:
    @functools.wraps(method)
    def install(self: FaultControl, /, *args: P.args, **kwargs: P.kwargs) -> HoldHandle:
        return self.note(HoldHandle(self, self.call(lambda: method(self.faults, *args, **kwargs))))

    return install


def _does(method: Callable[Concatenate[Faults, P], T]) -> Callable[Concatenate[FaultControl, P], T]:
    @functools.wraps(method)
    def do(self: FaultControl, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.call(lambda: method(self.faults, *args, **kwargs))

    return do


H = TypeVar("H", bound=FaultHandle)


class FaultControl:
    """What may be made to go wrong in an embedded server.

    Args:
        call: Runs a function on the server's loop.
        submit: Runs a coroutine there.
        faults: The faults themselves.
    """

    def __init__(self, call: _Call, submit: _Submit, faults: Faults) -> None:
        self.call = call
        self.submit = submit
        self.faults = faults
        self._installed: list[FaultHandle] = []

    @property
    def log(self) -> list[Fired]:
        """Everything that fired, in order."""
        return list(self.faults.log)

    @property
    def installed(self) -> list[FaultHandle]:
        """Every fault that was installed from here, in order."""
        return list(self._installed)

    def note(self, handle: H) -> H:
        """Remember a fault that was installed."""
        self._installed.append(handle)
        return handle

    fired = _does(Faults.fired)
    clear = _does(Faults.clear)

    drop_signal = _installs(Faults.drop_signal)
    hold = _holds(Faults.hold)
    close_before = _installs(Faults.close_before)
    close_after = _installs(Faults.close_after)
    no_pong = _installs(Faults.no_pong)
    unknown_first_message = _installs(Faults.unknown_first_message)
    refuse_resume = _installs(Faults.refuse_resume)
    refuse_join = _installs(Faults.refuse_join)
    expire_token = _installs(Faults.expire_token)
    drop_packets = _installs(Faults.drop_packets)
    blackout = _installs(Faults.blackout)
    delay_packets = _installs(Faults.delay_packets)
    duplicate_packets = _installs(Faults.duplicate_packets)
    reorder_packets = _installs(Faults.reorder_packets)

    leave = _does(Faults.leave)
    migrate = _does(Faults.migrate)
    close_signal = _does(Faults.close_signal)
    kill_transport = _does(Faults.kill_transport)
    kill = _does(Faults.kill)
    slow_reader = _does(Faults.slow_reader)
    normal_reader = _does(Faults.normal_reader)
    starve = _does(Faults.starve)
    feed = _does(Faults.feed)
