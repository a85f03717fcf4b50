"""The command line, `aiolivekit`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRAS = {
    "cli": {"PIL": "pillow", "jwt": "pyjwt", "numpy": "numpy", "rich": "rich", "typer": "typer"},
    "server": {
        "OpenSSL": "pyopenssl",
        "cryptography": "cryptography",
        "google_crc32c": "google-crc32c",
        "pyee": "pyee",
        "pylibsrtp": "pylibsrtp",
    },
}
"""What each extra brings, by the name it is imported with."""

_NEEDED_BY = {"cli": "the command line", "server": "the dev server"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 for a failure, 2 for wrong usage.

    Args:
        arguments: The arguments after the program's name; those of the process when `None`.
    """
    try:
        from .app import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        extra = next((name for name, packages in _EXTRAS.items() if missing in packages), None)
        if extra is None:
            raise
        # Who lacks one of the two may well lack the other.
        wanted = "cli" if extra == "cli" else "cli,server"
        print(
            f"aiolivekit: {_NEEDED_BY[extra]} needs {_EXTRAS[extra][missing]}; "
            f"install it with: pip install 'aiolivekit[{wanted}]'",
            file=sys.stderr,
        )
        return 2
