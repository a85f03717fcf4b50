"""H.264, by OpenH264: switched on and off by the user."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import CodecUnavailableError
from ..peer import openh264
from ..peer.openh264 import H264Status

__all__ = [
    "H264_LICENSE",
    "H264_NOTICE",
    "H264_VERSION",
    "H264Status",
    "disable_h264",
    "enable_h264",
    "h264_status",
    "install_h264",
]

H264_NOTICE = openh264.NOTICE
H264_LICENSE = openh264.LICENSE
H264_VERSION = openh264.VERSION


def h264_status() -> H264Status:
    """Return whether this process has H.264, after loading what the environment or the user chose.

    Which library is loaded is said by, in this order: `enable_h264`; the environment's `AIOLIVEKIT_OPENH264`, a path or
    `off`; what the user chose by `aiolivekit codecs install` or `aiolivekit codecs use`.
    """
    return openh264.status()


def enable_h264(library: str | os.PathLike[str], *, remember: bool = False) -> None:
    """Have H.264 in rooms that are joined from now on, by an OpenH264 that is on this machine.

    A process can load one library only; it may be switched off by `disable_h264` and on again.

    Args:
        library: The shared library's file. It must be version 2.6.0.
        remember: Whether to have it in all programs of this user.

    Raises:
        CodecUnavailableError: If it is no such library, or this process has loaded another one already.
        OSError: If it cannot be remembered.
    """
    file = Path(library).expanduser().absolute()
    openh264.enable(file)
    if remember:
        openh264.remember(openh264.H264Choice(file))


async def install_h264(*, accept_license: bool, remember: bool = False) -> H264Status:
    """Download Cisco's OpenH264 for this user, unless it is there already, and have H.264 from now on.

    OpenH264 Video Codec provided by Cisco Systems, Inc.

    Its licence wants users to be able to switch it on and off, the sentence above (`H264_NOTICE` of this module) shown
    where they do, and its text (`H264_LICENSE`) reproduced where a program shows licences.

    Args:
        accept_license: Whether the user accepts Cisco's licence; nothing is downloaded otherwise.
        remember: Whether to have it in all programs of this user.

    Raises:
        CodecUnavailableError: If it is not accepted, there is no library for this platform, or it could not be
            downloaded or loaded.
        OSError: If it cannot be written.
    """
    if not accept_license:
        raise CodecUnavailableError(f"{openh264.NOTICE} It is not installed unless its licence is accepted.")
    choice = await openh264.download()
    if remember:
        openh264.remember(choice)
    return openh264.status()


def disable_h264(*, forget: bool = False) -> bool:
    """Have no H.264 in rooms that are joined from now on; `enable_h264` with the same library switches it on again.

    Args:
        forget: Whether to forget what the user chose for all programs, too, and delete Cisco's library.

    Returns:
        Whether there was something to switch off or forget.

    Raises:
        OSError: If it cannot be deleted.
    """
    was_on = openh264.status().enabled
    openh264.disable()
    forgotten = forget and openh264.forget()
    return was_on or forgotten
