"""`aiolivekit.rtc.encoded_video` under the official name."""

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolivekit.rtc.encoded_video import *

sys.modules[__name__] = importlib.import_module("aiolivekit.rtc.encoded_video")
