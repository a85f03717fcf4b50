"""What a client does not do, and what a server does otherwise: all that the suite tolerates, with the reasons."""

from __future__ import annotations

from typing import Literal

import pytest

ClientKind = Literal["ours", "official", "browser"]
Capability = Literal["layers", "streams", "rpc"]

CLIENTS: tuple[ClientKind, ...] = ("ours", "official", "browser")

NOT_YET: dict[tuple[ClientKind, Capability], str] = {}
"""What is still to be built. A test that needs it is skipped, in CI too; the row goes when the feature comes."""

Limit = Literal[
    "hears of lost subscriptions",
    "hears that it left",
    "hears refusals",
    "chats",
    "targets all of a stream",
    "streams across its restart",
]

LIMITS: dict[tuple[ClientKind, Limit], str] = {
    ("official", "hears of lost subscriptions"): (
        "1.2.1 has no event when the publisher or the server ends a subscription, nor when it comes back"
    ),
    ("official", "hears that it left"): (
        "1.2.1 stops reading its events as it leaves, so that its own `disconnected` is sometimes lost"
    ),
    (
        "official",
        "hears refusals",
    ): "1.2.1 ignores the server's refusals: changes of metadata seem to succeed, tracks to time out",
    ("official", "chats"): "1.2.1 has no chat of its own, programs use text streams",
    ("browser", "streams across its restart"): (
        "2.23.0 loses the chunks it sends while it joins anew but sends the trailer, which does not say how many there "
        "were; and with two peer connections the next stream does not leave for longer than we wait"
    ),
    ("official", "targets all of a stream"): "1.2.1 says for whom it is in the header only; the chunks go to everybody",
}
"""What other people's clients do not do, whatever the server: those assertions are left out for them."""


def require(client: ClientKind, capability: Capability) -> None:
    """Skip the test when the client does not do it yet."""
    reason = NOT_YET.get((client, capability))
    if reason is not None:
        pytest.skip(reason)


def does(client: ClientKind, limit: Limit) -> bool:
    """Whether a client does what others' may not."""
    return (client, limit) not in LIMITS
