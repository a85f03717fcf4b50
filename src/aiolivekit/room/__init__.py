"""The Room API: what users hold."""
