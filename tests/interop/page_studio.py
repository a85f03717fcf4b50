"""Films and sounds with `livekit-client` in a page of Chromium (`browser/studio.js`)."""

from __future__ import annotations

import base64
from math import nan
from typing import Any

import numpy as np

from . import media
from .events import DEADLINE
from .films import Film, Frame, from_bars
from .page_client import PageClient
from .sounds import Sound
from .studio import Sent, Studio


class PageStudio(Studio[PageClient]):
    """Films and sounds of a `PageClient`."""

    async def publish_film(self, film: Film, *, codec: str, layers: bool = False, screen: bool = False) -> str:
        return str(await self._call("publishFilm", film=_film(film), codec=codec.lower(), layers=layers, screen=screen))

    async def publish_sound(self, sound: Sound, *, dtx: bool = False, red: bool = False) -> str:
        return str(await self._call("publishSound", frequencies=sound.frequencies, dtx=dtx, red=red))

    async def republish(self, sid: str) -> str:
        return str(await self._call("republish", sid=sid))

    async def replace(self, sid: str, new: Film | Sound) -> None:
        if isinstance(new, Film):
            await self._call("replaceFilm", sid=sid, film=_film(new))
        else:
            await self._call("replaceSound", sid=sid, frequencies=new.frequencies)

    async def quieten(self, sid: str, quiet: bool) -> None:
        await self._call("quieten", sid=sid, quiet=quiet)

    async def shown(self, sid: str) -> int:
        return int(await self._call("shown", sid=sid))

    async def sent(self, sid: str) -> list[Sent]:
        return [Sent(**{**each, "size": tuple(each["size"])}) for each in await self._call("sent", sid=sid)]

    async def mime(self, sid: str) -> str:
        return str(await self._call("mime", sid=sid)).lower()

    async def watch(self, sid: str) -> None:
        await self._call("watch", sid=sid, deadline=DEADLINE)

    async def frames(self, sid: str, since: int = 0) -> list[Frame]:
        found = []
        for first, second, width, height, *yuv in await self._call("frames", sid=sid, since=since):
            # A plane without pixels has no mean; such a picture is of no film.
            y, u, v = (nan if each is None else each for each in yuv)
            number, tag = from_bars(first, second)
            found.append(Frame(number, tag, (width, height), (y, u, v)))
        return found

    async def listen(self, sid: str, seconds: float, channels: int, *, sounding: bool = True) -> np.ndarray:
        answer = await self._call("listen", sid=sid, seconds=seconds, sounding=sounding, deadline=DEADLINE)
        assert answer["rate"] == media.RATE, answer["rate"]
        samples = np.frombuffer(base64.b64decode(answer["data"]), np.int16).reshape(-1, answer["channels"])
        # A decoder makes two channels of one when it likes.
        return np.repeat(samples, channels, axis=1) if samples.shape[1] < channels else samples[:, :channels]

    async def _call(self, command: str, **args: Any) -> Any:
        return await self.client._call(command, **args)


def _film(film: Film) -> dict[str, Any]:
    width, height = film.size
    return {"tag": film.tag, "colour": film.colour, "width": width, "height": height, "fps": film.fps}
