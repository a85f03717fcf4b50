"""Decisions without I/O: state and input (and `now`) in, new state and what to do out."""
