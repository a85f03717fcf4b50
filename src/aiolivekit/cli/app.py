"""The commands, put together."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from .._version import __version__
from .codecs import codecs
from .demo.command import demo
from .doctor.command import doctor
from .dropin import dropin
from .flight import flight
from .join import join
from .masking import secrets
from .native_log import without_native_log
from .output import print_error
from .publish import publish
from .record import record
from .send import send
from .serve.command import server
from .token import token

__all__ = ["app", "run"]

# No shell completion: its options would take up half of the help. No tracebacks of Typer's: they show local
# variables, secrets among them.
app = typer.Typer(
    name="aiolivekit",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"aiolivekit {__version__}")
        raise typer.Exit


@app.callback()
def _aiolivekit(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """LiveKit rooms from the command line.

    URL, token, key and secret are also taken from LIVEKIT_URL, LIVEKIT_TOKEN, LIVEKIT_API_KEY and
    LIVEKIT_API_SECRET, where other users of the machine do not see them.
    """


app.command()(join)
app.command()(send)
app.command()(publish)
app.command()(record)
app.command()(token)
app.command()(demo)
app.command()(server)
app.command()(doctor)
app.command()(flight)
app.add_typer(codecs, name="codecs")
app.add_typer(dropin, name="dropin")


class _LogLines(logging.Handler):
    """Warnings of the library, as lines like those of the commands."""

    def emit(self, record: logging.LogRecord) -> None:
        print_error(record.getMessage())


@contextmanager
def _terminal() -> Iterator[None]:
    """Prepare the output of a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal's encoding does not have is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    logger, handler = logging.getLogger("aiolivekit"), _LogLines(logging.WARNING)
    logger.addHandler(handler)
    try:
        with without_native_log():
            yield
    finally:
        logger.removeHandler(handler)


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status."""
    secrets.add_given(arguments, os.environ)
    command = typer.main.get_command(app)
    with _terminal():
        return _run(command, arguments)


def _run(command: Any, arguments: Sequence[str]) -> int:
    try:
        status = command.main(list(arguments), prog_name="aiolivekit", standalone_mode=False)
    except typer.Abort:
        return 130
    except BrokenPipeError:
        # The reader has gone (`aiolivekit join … | head`). The interpreter would complain while flushing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # Click's errors of usage, whose class is private to some versions of Typer.
        if not hasattr(error, "format_message"):
            raise
        print_error(f"{error.format_message()} (see --help)")
        return int(getattr(error, "exit_code", 2))
    return status if isinstance(status, int) else 0
