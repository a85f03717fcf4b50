"""The command line, `aiolivekit`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = {"PIL": "pillow", "jwt": "pyjwt", "numpy": "numpy", "rich": "rich", "typer": "typer"}
"""What the extra `cli` brings, by the name it is imported with."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 for a failure, 2 for wrong usage.

    Args:
        arguments: The arguments after the program's name; those of the process when `None`.
    """
    try:
        from .app import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except ModuleNotFoundError as error:
        package = _EXTRA.get((error.name or "").partition(".")[0])
        if package is None:
            raise
        print(
            f"aiolivekit: the command line needs {package}; install it with: pip install 'aiolivekit[cli]'",
            file=sys.stderr,
        )
        return 2
