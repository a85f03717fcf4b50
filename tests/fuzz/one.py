"""Fuzzes one target; a process of its own, since the code has to be instrumented before anything loads it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["CORPUS"]

CORPUS = Path(__file__).parent / "corpus"
_MAX_LENGTH = 8_192
_MEMORY_MB = 2_048


def _fuzz(name: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["aiolivekit.core", "aiolivekit.session.packets"]):
        from tests.fuzz.targets import TARGETS
    directory = CORPUS / name
    directory.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={_MAX_LENGTH}",
        f"-rss_limit_mb={_MEMORY_MB}",
        "-timeout=10",
        "-print_final_stats=1",
        "-reduce_inputs=1",
        f"-artifact_prefix={directory}{os.sep}crash-",
    ]
    atheris.Setup([name, *options, str(directory)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1], int(sys.argv[2]))
