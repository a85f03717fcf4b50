"""One measurement of one contender (`python -m bench.worker`); the runner starts it and talks to it in lines.

In: the job as JSON, then the words of the gates. Out: lines that begin with `@bench`, so that whatever a library
prints does no harm.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from .drivers import Participant, new_caller, new_participant
from .usage import raise_descriptor_limit

MARK = "@bench "


def _say(message: dict[str, Any]) -> None:
    print(MARK + json.dumps(message), flush=True)


async def _lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _run() -> dict[str, Any]:
    reader = await _lines()
    job = json.loads(await reader.readline())
    contender, url, tokens = job["contender"], job["url"], job["tokens"]

    def new() -> Participant:
        options = {name: job[name] for name in ("single", "encrypted", "layers") if name in job}
        return new_participant(contender, **options)

    async def gate(word: str) -> None:
        if word in ("connected", "ready"):
            _say({"state": word})
            return
        heard = (await reader.readline()).decode().strip()
        assert heard == word, f"expected {word}, heard {heard!r}"

    # Imported one by one, so that memory counts no module the measurement does not need.
    match job["measure"]:
        case "connect":
            from .measures import connect

            return await connect.measure(new, url, tokens)
        case "data":
            from .measures import data

            return await data.measure(new, url, tokens, job["pings"], job["seconds"])
        case "data_tracks":
            from .measures import data_tracks

            return await data_tracks.measure(new, url, tokens, job["seconds"])
        case "calls":
            from .measures import calls

            return await calls.measure(
                lambda: new_caller(contender), url, tokens, job["calls"], job["seconds"], job["megabytes"]
            )
        case "memory":
            from .measures import memory

            return await memory.measure(new, url, tokens)
        case "first_join":
            from .measures import first_join

            return await first_join.measure(new, job["server"], job["rounds"])
        case "publish_audio":
            from .measures import media

            return await media.publish_audio(new(), url, tokens[0], job["count"], gate)
        case "receive_audio":
            from .measures import media

            return await media.receive_audio(new(), url, tokens[0], job["count"], gate)
        case "publish_video":
            from .measures import media

            return await media.publish_video(new(), url, tokens[0], gate)
        case "receive_video":
            from .measures import media

            return await media.receive_video(new(), url, tokens[0], gate)
        case "recovery":
            from .measures import recovery

            return await recovery.measure(new, job["fault"])
        case unknown:
            raise ValueError(f"no such measurement: {unknown}")


def main() -> None:
    """Do the job and leave at once, whatever threads a contender may still have."""
    raise_descriptor_limit()
    try:
        _say({"result": asyncio.run(_run())})
    except BaseException:  # noqa: BLE001 - the process ends here
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
