"""The messages of `e2ee.proto`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...compat.proto import fill

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


fill(globals(), "e2ee.proto")
