"""`python -m bench.raw`: one load of bare RTP, on the embedded server or on the real one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import sys

from aiolivekit.testing import RealServer

from ..usage import process_cpu_seconds, raise_descriptor_limit
from .embedded import EmbeddedServer
from .load import Load, run_load


def main() -> int:
    """Run the load and print what came of it; the status is 1 when packets were lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.raw", description=__doc__)
    parser.add_argument("--real", action="store_true", help="the real server instead of the embedded one")
    for field in dataclasses.fields(Load):
        kind = type(field.default)
        parser.add_argument(f"--{field.name}", type=kind, default=field.default)
    arguments = vars(parser.parse_args())
    real = arguments.pop("real")
    load = Load(**arguments)
    raise_descriptor_limit()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(RealServer() if real else EmbeddedServer())
        assert server.pid is not None
        pid = server.pid
        outcome = asyncio.run(
            run_load(
                server.url,
                lambda identity, room: server.token(identity, room=room),
                load,
                lambda: process_cpu_seconds(pid),
            )
        )
    result = {
        **dataclasses.asdict(outcome),
        "lost": outcome.lost,
        "forwards_per_second": round(outcome.received / outcome.seconds),
        "forwards_per_core": round(outcome.per_core),
    }
    if isinstance(server, EmbeddedServer):
        result |= server.counters
    print(json.dumps(result))
    return 1 if outcome.lost or outcome.out_of_order else 0


if __name__ == "__main__":
    sys.exit(main())
