"""The client in the browser: `livekit-client` in a page of Chromium."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from .chromium import Chromium, Page, PageError
from .client import (
    FPS,
    FRAME_INTERVAL,
    LAYERED_FPS,
    Client,
    Colour,
    JoinRefusedError,
    Picture,
    Quality,
    RefusedError,
    RpcFailedError,
    Scenario,
    Seen,
    StreamRefusedError,
    Tone,
)
from .events import DEADLINE, LARGE_DEADLINE

SCENARIOS: dict[Scenario, str] = {"resume": "signal-reconnect", "restart": "full-reconnect"}


class PageClient(Client):
    """A room of `livekit-client`.

    Args:
        page: Lent by `chromium` for this client.
        chromium: Gets the page back.
        identity: As in the token.
    """

    kind = "browser"

    def __init__(self, page: Page, chromium: Chromium, identity: str) -> None:
        super().__init__(identity)
        self._page = page
        self._chromium = chromium
        page.listen(self._take)

    def _take(self, event: dict[str, Any]) -> None:
        details = dict(event)
        name = details.pop("name")
        if "data" in details:
            details["data"] = base64.b64decode(details["data"])
        self.events.add(name, **details)

    async def _call(self, command: str, /, **args: Any) -> Any:
        # The page has its own deadline where it waits; ours is for a page that hangs.
        return await self._page.call(command, within=DEADLINE + 10, **args)

    # -- the room --

    async def join(
        self, url: str, token: str, *, single: bool, auto_subscribe: bool = True, dynacast: bool = False
    ) -> None:
        answer = await self._call(
            "join", url=url, token=token, single=single, autoSubscribe=auto_subscribe, dynacast=dynacast
        )
        if "refused" in answer:
            raise JoinRefusedError(f"{answer['reason']} {answer['status']}: {answer['message']}")

    async def leave(self) -> None:
        await self._call("leave")

    async def close(self) -> None:
        await self._chromium.give_back(self._page)

    async def peer_connections(self) -> int | None:
        return int((await self._call("look"))["peerConnections"])

    async def me(self) -> Seen:
        return Seen(**(await self._call("look"))["me"])

    async def others(self) -> dict[str, Seen]:
        return {identity: Seen(**seen) for identity, seen in (await self._call("look"))["others"].items()}

    async def room_metadata(self) -> str:
        return str((await self._call("look"))["room"]["metadata"])

    async def simulate(self, scenario: Scenario) -> None:
        await self._call("simulate", scenario=SCENARIOS[scenario])

    # -- media --

    async def publish_tone(self, frequency: float) -> str:
        try:
            return str(await self._call("publishTone", frequency=frequency, name="microphone"))
        except PageError as error:
            raise RefusedError(str(error)) from error

    async def publish_picture(
        self, colour: Colour, size: tuple[int, int] = (320, 180), *, simulcast: bool = False
    ) -> str:
        width, height = size
        fps = LAYERED_FPS if simulcast else FPS
        answer = await self._call(
            "publishPicture", colour=colour, width=width, height=height, simulcast=simulcast, fps=fps, name="camera"
        )
        return str(answer)

    async def unpublish(self, sid: str) -> None:
        await self._call("unpublish", sid=sid)

    async def set_muted(self, sid: str, muted: bool) -> None:
        await self._call("setMuted", sid=sid, muted=muted)

    async def subscribe(self, sid: str, subscribed: bool = True) -> None:
        await self._call("setSubscribed", sid=sid, subscribed=subscribed)

    async def set_quality(self, sid: str, quality: Quality) -> None:
        await self._call("setQuality", sid=sid, quality=quality)

    async def allow_subscribers(self, *, everybody: bool, identities: Sequence[str] = ()) -> None:
        await self._call("allowSubscribers", all=everybody, identities=list(identities))

    async def hear(self, sid: str) -> Tone:
        return Tone(**await self._call("hear", sid=sid, deadline=DEADLINE))

    async def see(self, sid: str) -> Picture:
        seen = await self._call("see", sid=sid, deadline=DEADLINE)
        red, green, blue = seen["colour"]
        return Picture(seen["width"], seen["height"], (red, green, blue))

    # -- data --

    async def send_data(self, data: bytes, *, reliable: bool = True, to: Sequence[str] = (), topic: str = "") -> None:
        await self._call("sendData", data=_text(data), reliable=reliable, to=list(to), topic=topic)

    async def receive_streams(self, topic: str) -> None:
        await self._call("receiveStreams", topic=topic)

    async def receive_digests(self, topic: str) -> None:
        await self._call("receiveDigests", topic=topic)

    async def send_repeated(self, block: bytes, size: int, *, topic: str, to: Sequence[str] = ()) -> str:
        answer = await self._page.call(
            "sendRepeated", within=LARGE_DEADLINE, block=_text(block), size=size, to=list(to), topic=topic
        )
        return str(answer)

    async def open_stream(self, topic: str, to: Sequence[str] = ()) -> str:
        return str(await self._call("openStream", topic=topic, to=list(to)))

    async def write_stream(self, stream_id: str, text: str) -> None:
        try:
            await self._call("writeStream", id=stream_id, text=text)
        except PageError as error:
            raise StreamRefusedError(str(error)) from error

    async def end_stream(self, stream_id: str) -> None:
        try:
            await self._call("endStream", id=stream_id)
        except PageError as error:
            raise StreamRefusedError(str(error)) from error

    async def send_text(
        self, text: str, *, topic: str, to: Sequence[str] = (), attributes: Mapping[str, str] | None = None
    ) -> None:
        await self._call("sendText", text=text, topic=topic, to=list(to), attributes=dict(attributes or {}))

    async def send_bytes(self, data: bytes, *, topic: str, name: str, to: Sequence[str] = ()) -> None:
        await self._call("sendBytes", data=_text(data), topic=topic, name=name, to=list(to))

    async def send_chat(self, text: str) -> None:
        await self._call("sendChat", text=text)

    async def press_key(self, code: int, digit: str) -> None:
        await self._call("pressKey", code=code, digit=digit)

    async def serve_rpc(self, method: str) -> None:
        await self._call("serveRpc", method=method)

    async def perform_rpc(self, to: str, method: str, payload: str) -> str:
        answer = await self._call("performRpc", to=to, method=method, payload=payload, timeout=DEADLINE)
        if "code" in answer:
            raise RpcFailedError(answer["code"], answer["message"], answer["data"])
        return str(answer["answer"])

    async def publish_data_track(self, name: str, size: int) -> str:
        answer = await self._call("publishDataTrack", name=name, size=size, interval=FRAME_INTERVAL * 1000)
        return str(answer)

    async def unpublish_data_track(self, name: str) -> None:
        await self._call("unpublishDataTrack", name=name)

    async def receive_data_track(self, sid: str) -> None:
        await self._call("receiveDataTrack", sid=sid)

    async def stop_receiving(self, sid: str) -> None:
        await self._call("stopReceiving", sid=sid)

    # -- about us --

    async def set_metadata(self, metadata: str) -> None:
        try:
            await self._call("setMetadata", metadata=metadata)
        except PageError as error:
            raise RefusedError(str(error)) from error

    async def set_name(self, name: str) -> None:
        await self._call("setName", name=name)

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        await self._call("setAttributes", attributes=attributes)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
