import asyncio

from greeter import join_and_greet


async def test_it_greets(livekit_server, livekit_token, livekit_room):
    app = await join_and_greet(livekit_server.url, livekit_token("greeter"))
    async with livekit_room("ada") as ada:
        reply = asyncio.get_running_loop().create_future()
        ada.on("data_received", lambda packet: reply.set_result(packet.data))
        await ada.local_participant.publish_data(b"Ada", topic="name")
        assert await asyncio.wait_for(reply, 10) == b"Hello, Ada!"
    await app.disconnect()
