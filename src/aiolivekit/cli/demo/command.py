"""`aiolivekit demo`: what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import LiveKitError
from ...testing.server_binary import ServerUnavailableError
from .. import interrupt
from ..connection import ApiKey, ApiSecret, Dual
from ..output import UsageProblem, describe_error, fail, print_json
from .servers import ServerSource, embedded_server, given_server, real_server

__all__ = ["demo"]


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIRECTORY", help="Where the pictures and the sound go.")
    ] = Path("demo-output"),
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="A server to use, with --api-key and --api-secret; one is started here if left out.",
            show_default=False,
        ),
    ] = None,
    real: Annotated[
        bool,
        typer.Option("--real", help="Start a real LiveKit server; it is built the first time: minutes, and needs Go."),
    ] = False,
    api_key: ApiKey = None,
    api_secret: ApiSecret = None,
    dual: Dual = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Let two participants exchange text, a tone and a moving picture, and check what arrives.

    The status is 1 if a check fails. They meet on the dev server, in this process, unless another one is asked for.
    """
    if url and real:
        raise UsageProblem("--url and --real are two servers; the demo takes one")
    if url and not (api_key and api_secret):
        raise UsageProblem("--url needs --api-key and --api-secret")
    source: ServerSource = real_server if real else embedded_server
    if url and api_key and api_secret:
        source = given_server(url, api_key, api_secret)
    raise typer.Exit(interrupt.run(_demo(source, output, dual=dual, as_json=json)))


async def _demo(source: ServerSource, output: Path, *, dual: bool, as_json: bool) -> int:
    from .report import print_result, progress
    from .scenario import run_demo

    try:
        with progress(quiet=as_json) as tell:
            async with source(tell) as server:
                result = await run_demo(server, output, tell, dual=dual)
    except (LiveKitError, OSError, ExceptionGroup) as error:
        fail(f"the demo could not be run {_explain(error)}")
    if as_json:
        print_json(result.as_json())
    else:
        print_result(result)
    return 0 if result.passed else 1


def _explain(error: Exception) -> str:
    # Tone and picture are exchanged in a task group; one reason is enough.
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ServerUnavailableError):
        return f"{describe_error(error)}; without --real the dev server is used, and --url takes one that runs already"
    if isinstance(error, LiveKitError):
        return describe_error(error)
    if isinstance(error, OSError):
        return f"({error.strerror or type(error).__name__})"
    raise error
