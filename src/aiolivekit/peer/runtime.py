"""What libwebrtc asks of the process it lives in.

Its threads start with the first peer connection and do not survive a fork: a forked child that touches an inherited
peer hangs. `check` turns that into an error.
"""

from __future__ import annotations

import os

from ..errors import ForkError
from . import openh264

__all__ = ["check"]

_owner: int | None = None


def check() -> None:
    """Note that this process uses libwebrtc, and have the codecs that the user chose.

    Raises:
        ForkError: If a parent process did so before it forked this one.
    """
    global _owner
    pid = os.getpid()
    if _owner is None:
        _owner = pid
    elif _owner != pid:
        raise ForkError(
            "this process was forked after its parent had used libwebrtc, whose threads it did not inherit; "
            "start processes with the 'spawn' method, or fork before the first connection"
        )
    openh264.prepare()
