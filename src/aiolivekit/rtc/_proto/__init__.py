"""The official SDK's generated messages, by its names for the modules; see `compat.proto`."""
