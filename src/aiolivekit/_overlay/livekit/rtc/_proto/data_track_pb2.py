"""`aiolivekit.rtc._proto.data_track_pb2` under the official name."""

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolivekit.rtc._proto.data_track_pb2 import *

sys.modules[__name__] = importlib.import_module("aiolivekit.rtc._proto.data_track_pb2")
