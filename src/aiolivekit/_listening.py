"""Closing a listener without forgetting whom it has just let in."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ["close_listener"]


def close_listener(listener: asyncio.Server) -> None:
    """Take no more connections from now on, and close the listener at the loop's next turn.

    A connection that asyncio accepted in this very turn has no transport yet. `asyncio.Server.close` would fail the
    making of it (an assertion in `Server._attach`, seen in CPython 3.11), and nobody would close that connection.
    """
    loop = asyncio.get_running_loop()
    for listening in listener.sockets:
        # Windows' default loop has no readers; there, what is accepted is handled at once.
        with contextlib.suppress(NotImplementedError):
            loop.remove_reader(listening.fileno())
    loop.call_soon(listener.close)
