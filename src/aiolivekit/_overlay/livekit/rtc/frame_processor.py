"""`aiolivekit.rtc.frame_processor` under the official name."""

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolivekit.rtc.frame_processor import *

sys.modules[__name__] = importlib.import_module("aiolivekit.rtc.frame_processor")
