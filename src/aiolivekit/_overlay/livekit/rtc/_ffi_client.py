"""`aiolivekit.rtc._ffi_client` under the official name."""

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolivekit.rtc._ffi_client import *

sys.modules[__name__] = importlib.import_module("aiolivekit.rtc._ffi_client")
