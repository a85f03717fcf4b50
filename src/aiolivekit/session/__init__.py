"""One join of a room."""
