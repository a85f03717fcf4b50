"""Points in time as the server tells them."""

from __future__ import annotations

import datetime as dt

__all__ = ["moment"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def moment(milliseconds: int) -> dt.datetime:
    """Return the time so many milliseconds after 1970; one that no calendar has counts as 1970 itself."""
    try:
        return _EPOCH + dt.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _EPOCH
