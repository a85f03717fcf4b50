"""A LiveKit-compatible server embedded in Python, for development and tests.

It is no production server: that is the real one. Needs the extra `server`.
"""

from aiolivekit.server.dev_server import DevServer
from aiolivekit.server.fault import Fault, Fired, Hold
from aiolivekit.server.faults import Faults
from aiolivekit.server.options import Limits, ServerOptions

__all__ = ["DevServer", "Fault", "Faults", "Fired", "Hold", "Limits", "ServerOptions"]
