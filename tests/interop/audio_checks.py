"""What is checked of sounds: frequency, loudness, gaps, what is on which channel, and what silence costs."""

from __future__ import annotations

import asyncio

from .client import eventually
from .media_cells import Cell
from .scene import Facts, Scene
from .sounds import Sound

A4 = Sound(440.0)
TWO = Sound(400.0, 900.0)

FEW, MANY = 20, 35
"""Packets a second: of silence with DTX there are fewer, of 20 ms each there are fifty."""


async def sound(scene: Scene, cell: Cell) -> Facts:
    """A tone arrives pure and without gaps; without DTX silence is sent like sound."""
    alice, bob = await scene.two()
    sid = await alice.publish_sound(A4)
    heard = await bob.client.events.wait("track_subscribed", sid=sid)
    assert (heard["kind"], heard["source"]) == ("audio", "microphone")
    assert await bob.mime(sid) == "audio/opus"
    [found] = await bob.hears(sid, A4, 1.0)
    await alice.quieten(sid, True)
    await eventually(lambda: packets_a_second(scene, sid, lambda count: count >= MANY), "silence is sent")
    return {"gaps": round(found.gaps, 4), "loudness": round(found.loudness, 3)}


async def stereo(scene: Scene, cell: Cell) -> Facts:
    """Each channel carries its own tone."""
    alice, bob = await scene.two()
    sid = await alice.publish_sound(TWO)
    await bob.client.events.wait("track_subscribed", sid=sid)
    found = await bob.hears(sid, TWO)
    return {"purity": [round(each.purity, 3) for each in found]}


async def dtx(scene: Scene, cell: Cell) -> Facts:
    """Silence is hardly sent, and sound is heard again after it."""
    alice, bob = await scene.two()
    sid = await alice.publish_sound(A4, dtx=True)
    await bob.client.events.wait("track_subscribed", sid=sid)
    await bob.hears(sid, A4)
    await alice.quieten(sid, True)
    await eventually(lambda: packets_a_second(scene, sid, lambda count: count <= FEW), "silence is hardly sent")
    await alice.quieten(sid, False)
    await bob.hears(sid, A4)
    return {}


async def red(scene: Scene, cell: Cell) -> Facts:
    """Sound that is sent with what was before it is announced so, and heard."""
    alice, bob = await scene.two()
    sid = await alice.publish_sound(A4, red=True)
    await bob.client.events.wait("track_subscribed", sid=sid)
    await bob.hears(sid, A4, 1.0)
    assert await bob.mime(sid) == "audio/red"
    [sent] = await alice.sent(sid)
    assert sent.codec.lower() in ("audio/red", "audio/opus")
    return {"codec": sent.codec}


async def packets_a_second(scene: Scene, sid: str, fits) -> bool:  # type: ignore[no-untyped-def]
    """Whether the packets of a second of alice's track are so many; a window, of which the best counts."""
    alice = scene.studios["alice"]
    loop = asyncio.get_running_loop()
    [before], began = await alice.sent(sid), loop.time()
    await asyncio.sleep(1)
    [after], took = await alice.sent(sid), loop.time() - began
    return bool(fits((after.packets - before.packets) / took))
