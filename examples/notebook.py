"""A room in a notebook: cells for Jupyter, or for an editor that knows `# %%`.

LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET are those of the server (`aiolivekit server` prints some). The page
for the browser is part of the official package, which is installed beside this one: pip install livekit
"""

# ruff: noqa: D103

# %% A page below the cell: the reader of the notebook is in the room, with microphone and camera.
import os

from aiolivekit import Room
from aiolivekit.rtc import jupyter
from aiolivekit.testing import access_token

url = os.environ["LIVEKIT_URL"]


def token(identity: str) -> str:
    return access_token(os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"], identity, room="notebook")


jupyter.display_room(url, token("reader"))

# %% The notebook is in the room too, and stays there from cell to cell: Jupyter runs an event loop of its own.
room = Room()
room.on("data_received", lambda packet: print(packet.data.decode()))
await room.connect(url, token("notebook"))  # type: ignore[top-level-await]  # noqa: F704
print([participant.identity for participant in room.remote_participants.values()])

# %% What is written here arrives there.
await room.local_participant.send_text("Hello from the notebook!", topic="lk.chat")  # noqa: F704

# %% The end.
await room.disconnect()  # noqa: F704
