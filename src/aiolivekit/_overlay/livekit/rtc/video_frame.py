"""`aiolivekit.rtc.video_frame` under the official name."""

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolivekit.rtc.video_frame import *

sys.modules[__name__] = importlib.import_module("aiolivekit.rtc.video_frame")
