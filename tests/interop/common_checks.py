"""What is checked of a film and a sound together: mute, replace, publish again, and who comes late."""

from __future__ import annotations

import asyncio
from typing import Any

from .audio_checks import A4
from .client import eventually
from .media import LOUDNESS_OF_SILENCE
from .media_cells import Cell
from .scene import Facts, Scene
from .sounds import Sound, analyse
from .studio import Studio
from .video_checks import CRIMSON, TEAL, of, subscribed

C6 = Sound(1046.5)

ON_ITS_WAY = 8
"""Pictures that may still be on their way when a film is muted."""


async def _publish(alice: Studio[Any], bob: Studio[Any], codec: str) -> tuple[str, str]:
    film = await alice.publish_film(CRIMSON, codec=codec)
    sound = await alice.publish_sound(A4)
    await subscribed(bob, film)
    await bob.client.events.wait("track_subscribed", sid=sound)
    return film, sound


async def mute(scene: Scene, cell: Cell) -> Facts:
    """While it is muted no picture comes and nothing is heard; afterwards the film goes on where it is by then."""
    alice, bob = await scene.two()
    film, sound = await _publish(alice, bob, cell.codec)
    await asyncio.gather(bob.sees(film, CRIMSON, of(CRIMSON.size)), bob.hears(sound, A4))
    for sid in (film, sound):
        await alice.client.set_muted(sid, True)
    muted_at = await alice.shown(film)
    for sid in (film, sound):
        await bob.client.events.wait("track_muted", identity="alice", sid=sid)

    async def silent() -> bool:
        heard = analyse(await bob.listen(sound, 0.3, 1, sounding=False))
        return all(each.loudness < LOUDNESS_OF_SILENCE for each in heard)

    await eventually(silent, "a muted sound is silent")

    async def went_on() -> bool:
        return await alice.shown(film) > muted_at + 3 * ON_ITS_WAY

    await eventually(went_on, "the camera goes on")
    numbers = [frame.number for frame in await bob.frames(film) if frame.number is not None]
    assert numbers[-1] <= muted_at + ON_ITS_WAY, f"muted at {muted_at}, {numbers[-5:]} came"
    unmuted_at = await alice.shown(film)
    for sid in (film, sound):
        await alice.client.set_muted(sid, False)
    await asyncio.gather(bob.sees(film, CRIMSON, of(CRIMSON.size), after=unmuted_at - 1), bob.hears(sound, A4))
    for sid in (film, sound):
        await bob.client.events.wait("track_unmuted", identity="alice", sid=sid)
        assert len(bob.client.events.of("track_subscribed", sid=sid)) == 1
    return {}


async def replace(scene: Scene, cell: Cell) -> Facts:
    """Another camera and another microphone under the same sids."""
    alice, bob = await scene.two()
    film, sound = await _publish(alice, bob, cell.codec)
    await asyncio.gather(bob.sees(film, CRIMSON, of(CRIMSON.size)), bob.hears(sound, A4))
    await alice.replace(film, TEAL)
    await alice.replace(sound, C6)
    await asyncio.gather(bob.sees(film, TEAL, of(TEAL.size)), bob.hears(sound, C6))
    assert bob.client.events.of("track_unsubscribed") == []
    return {}


async def republish(scene: Scene, cell: Cell) -> Facts:
    """Unpublished and published again, twice: other sids, and all else as before."""
    alice, bob = await scene.two()
    film, sound = await _publish(alice, bob, cell.codec)
    await asyncio.gather(bob.sees(film, CRIMSON, of(CRIMSON.size)), bob.hears(sound, A4))
    for _ in range(2):
        before = (film, sound)
        now = await alice.shown(film)
        film, sound = await alice.republish(film), await alice.republish(sound)
        assert film not in before
        assert sound not in before
        for sid in before:
            await bob.client.events.wait("track_unpublished", identity="alice", sid=sid)
        await subscribed(bob, film)
        await bob.client.events.wait("track_subscribed", sid=sound)
        await asyncio.gather(bob.sees(film, CRIMSON, of(CRIMSON.size), after=now), bob.hears(sound, A4))
    assert sorted((await bob.client.others())["alice"].tracks) == sorted([film, sound])
    return {}


async def late(scene: Scene, cell: Cell) -> Facts:
    """Who comes while a film runs sees it from then on."""
    alice, bob = await scene.two()
    film, sound = await _publish(alice, bob, cell.codec)
    await bob.sees(film, CRIMSON, of(CRIMSON.size))
    now = await alice.shown(film)
    carol = await scene.studio(cell.subscriber, "carol")
    await subscribed(carol, film)
    await carol.client.events.wait("track_subscribed", sid=sound)
    await asyncio.gather(carol.sees(film, CRIMSON, of(CRIMSON.size), after=now - ON_ITS_WAY), carol.hears(sound, A4))
    # And who was there before goes on seeing it.
    await bob.sees(film, CRIMSON, of(CRIMSON.size), after=now)
    return {}
