"""`aiolivekit codecs`: which codecs there are here, and H.264 by the user's choice."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ..errors import LiveKitError
from .output import UsageProblem, describe_error, fail, print_json, print_line

__all__ = ["codecs"]

T = TypeVar("T")

codecs = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})

_WHOSE = {
    "program": "chosen by this program",
    "environment": "named by AIOLIVEKIT_OPENH264",
    "user": "your choice",
    None: "",
}


@codecs.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show which codecs can be sent here, and switch H.264 on and off.

    H.264 is there once you choose to have it: it takes OpenH264, a library that Cisco distributes.
    """
    if context.invoked_subcommand is not None:
        return
    found = _find()
    if json:
        print_json(found)
        return
    for kind in ("video", "audio"):
        print_line(f"{kind:<8}{', '.join(found[kind])}")
    print_line(f"H.264   {_h264_words(found['h264'])}")
    if found["h264"]["enabled"]:
        from ..media.h264 import H264_NOTICE

        print_line(f"        {H264_NOTICE}")


def _find() -> dict[str, Any]:
    from ..media.capabilities import supported_codecs
    from ..media.h264 import h264_status

    helpers = {"rtx", "red", "ulpfec", "flexfec-03", "CN", "telephone-event"}

    def names(mime_types: tuple[str, ...]) -> list[str]:
        found = (each.partition("/")[2] for each in mime_types)
        return [name for name in found if name not in helpers]

    status = h264_status()
    return {
        "video": names(supported_codecs("video")),
        "audio": names(supported_codecs("audio")),
        "h264": {
            "enabled": status.enabled,
            "library": None if status.library is None else str(status.library),
            "chosen_by": status.chosen_by,
            "from_cisco": status.from_cisco,
            "problem": status.problem,
        },
    }


def _h264_words(h264: dict[str, Any]) -> str:
    if h264["enabled"]:
        return f"on, by {h264['library']} ({_WHOSE[h264['chosen_by']]})"
    if h264["problem"]:
        return f"off ({_WHOSE[h264['chosen_by']]}): {h264['problem']}"
    return "off; `aiolivekit codecs install` brings Cisco's library, `aiolivekit codecs use FILE` takes one of yours"


@codecs.command()
def install(
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="You accept Cisco's licence (`aiolivekit codecs license`).")
    ] = False,
) -> None:
    """Download Cisco's OpenH264 and have H.264 in all your programs from now on.

    It shows Cisco's notice and asks first, unless told that the licence is accepted.
    """
    from ..media.h264 import H264_NOTICE, H264_VERSION, install_h264

    print_line(H264_NOTICE)
    print_line(
        f"Version {H264_VERSION} is downloaded from Cisco, under Cisco's licence, which `aiolivekit codecs license` "
        "prints; `aiolivekit codecs remove` takes it away again."
    )
    if not accept_license:
        if not _can_ask():
            raise UsageProblem("nobody can be asked here: if you accept Cisco's licence, say --accept-license")
        if not typer.confirm("Do you accept the licence, and want H.264?"):
            print_line("Nothing was changed.")
            raise typer.Exit(1)
    _change(lambda: asyncio.run(install_h264(accept_license=True, remember=True)))
    print_line("H.264 is on.")


@codecs.command()
def use(
    library: Annotated[
        Path, typer.Argument(metavar="FILE", help="A shared library, OpenH264 2.6.0.", show_default=False)
    ],
) -> None:
    """Have H.264 in all your programs from now on, by an OpenH264 that is on this machine.

    For one program alone, set AIOLIVEKIT_OPENH264 to the file instead.
    """
    from ..media.h264 import enable_h264

    _change(lambda: enable_h264(library, remember=True))
    print_line("H.264 is on.")


@codecs.command()
def remove() -> None:
    """Have no H.264 from now on, and delete Cisco's library if it was installed."""
    from ..media.h264 import disable_h264

    was_there = _change(lambda: disable_h264(forget=True))
    print_line("H.264 is off." if was_there else "H.264 was not chosen; nothing was changed.")


@codecs.command(name="license")
def show_license() -> None:
    """Print Cisco's licence of OpenH264."""
    from ..media.h264 import H264_LICENSE

    print_line(H264_LICENSE)


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _change(change: Callable[[], T]) -> T:
    try:
        return change()
    except LiveKitError as error:
        fail(f"H.264 could not be switched on {describe_error(error)}")
    except OSError as error:
        fail(f"the choice could not be written: {error.strerror}")
