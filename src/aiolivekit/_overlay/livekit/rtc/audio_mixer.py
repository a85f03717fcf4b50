"""`aiolivekit.rtc.audio_mixer` under the official name."""

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolivekit.rtc.audio_mixer import *

sys.modules[__name__] = importlib.import_module("aiolivekit.rtc.audio_mixer")
