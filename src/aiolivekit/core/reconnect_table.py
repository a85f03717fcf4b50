"""The reconnect machine as a table: what follows from what, and nothing else.

`Reconnection` (`core.reconnection`) adds attempts and time to it. The diagram in `docs/design.md` is generated from
this table, and a test compares the two.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["TABLE", "Do", "Input", "State", "diagram"]


class State(Enum):
    """Where the engine is. A resume keeps the session; a restart joins anew."""

    CONNECTED = "connected"
    RESUME_DUE = "resume due"
    RESUMING = "resuming"
    RESTART_DUE = "restart due"
    RESTARTING = "restarting"
    CLOSED = "closed"

    @property
    def reconnecting(self) -> bool:
        """Whether the room is neither connected nor closed."""
        return self not in (State.CONNECTED, State.CLOSED)

    @property
    def attempting(self) -> bool:
        """Whether an attempt is under way."""
        return self in (State.RESUMING, State.RESTARTING)


class Input(Enum):
    """What happens to it."""

    LOST = "lost"
    """Something was lost that a resume can bring back."""
    RESTART_ASKED = "restart asked"
    """Only a new join helps: the server says so, or does not know the session any more."""
    DUE = "due"
    """The wait is over."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The attempt failed and may be tried again in the same way."""
    RESUME_REFUTED = "resume refuted"
    """The attempt failed in a way that says that no resume will do."""
    EXHAUSTED = "exhausted"
    """The policy allows no attempt, or no further one."""
    REVOKED = "revoked"
    """The server does not want us (back): leave with disconnect, or a token it has said is not valid."""
    CLOSE = "close"
    """The application leaves."""


class Do(Enum):
    """What is to be done."""

    ANNOUNCE = "announce"
    """Tell that a resume, or a restart, begins. Once for each in an episode."""
    WAIT = "wait"
    """Wait for the next attempt, as long as the policy says."""
    ATTEMPT = "attempt"
    CANCEL = "cancel"
    """Stop the attempt that is under way, and close what it opened."""
    RECOVERED = "recovered"
    END = "end"
    """Close the engine, with the cause."""


_S, _I, _D = State, Input, Do
_End = tuple[State, tuple[Do, ...]]
_END: Final[_End] = (_S.CLOSED, (_D.END,))
_STOP: Final[_End] = (_S.CLOSED, (_D.CANCEL, _D.END))

TABLE: Final[dict[State, dict[Input, tuple[State, tuple[Do, ...]]]]] = {
    _S.CONNECTED: {
        _I.LOST: (_S.RESUME_DUE, (_D.ANNOUNCE, _D.WAIT)),
        _I.RESTART_ASKED: (_S.RESTART_DUE, (_D.ANNOUNCE, _D.WAIT)),
        _I.EXHAUSTED: _END,
        _I.REVOKED: _END,
        _I.CLOSE: _END,
    },
    _S.RESUME_DUE: {
        _I.DUE: (_S.RESUMING, (_D.ATTEMPT,)),
        _I.RESTART_ASKED: (_S.RESTART_DUE, (_D.ANNOUNCE, _D.WAIT)),
        _I.REVOKED: _END,
        _I.CLOSE: _END,
    },
    _S.RESUMING: {
        _I.SUCCEEDED: (_S.CONNECTED, (_D.RECOVERED,)),
        _I.FAILED: (_S.RESUME_DUE, (_D.WAIT,)),
        _I.RESUME_REFUTED: (_S.RESTART_DUE, (_D.ANNOUNCE, _D.WAIT)),
        _I.RESTART_ASKED: (_S.RESTART_DUE, (_D.CANCEL, _D.ANNOUNCE, _D.WAIT)),
        _I.EXHAUSTED: _END,
        _I.REVOKED: _STOP,
        _I.CLOSE: _STOP,
    },
    _S.RESTART_DUE: {
        _I.DUE: (_S.RESTARTING, (_D.ATTEMPT,)),
        _I.REVOKED: _END,
        _I.CLOSE: _END,
    },
    _S.RESTARTING: {
        _I.SUCCEEDED: (_S.CONNECTED, (_D.RECOVERED,)),
        _I.FAILED: (_S.RESTART_DUE, (_D.WAIT,)),
        _I.RESUME_REFUTED: (_S.RESTART_DUE, (_D.WAIT,)),
        _I.EXHAUSTED: _END,
        _I.REVOKED: _STOP,
        _I.CLOSE: _STOP,
    },
    _S.CLOSED: {},
}
"""What is not listed changes nothing: a loss while reconnecting is known already, a closed engine stays closed."""


def diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    name = {state: state.name.lower() for state in State}
    lines = ["stateDiagram-v2", f"    [*] --> {name[State.CONNECTED]}"]
    for state, row in TABLE.items():
        for happening, (target, does) in row.items():
            what = ", ".join(do.value for do in does)
            lines.append(f"    {name[state]} --> {name[target]}: {happening.value} / {what}")
    lines.append(f"    {name[State.CLOSED]} --> [*]")
    return "\n".join(lines)
