"""Rooms in notebooks."""

from __future__ import annotations

from ..compat.jupyter import display_room, room_html

__all__ = ["display_room", "room_html"]
