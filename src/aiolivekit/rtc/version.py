"""The version of the official SDK that this package stands for; `aiolivekit.__version__` is its own."""

from __future__ import annotations

from ..compat.version import OFFICIAL_VERSION

__all__ = ["__version__"]

__version__ = OFFICIAL_VERSION
