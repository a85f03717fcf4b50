"""The measurements; each runs in a process of its own, with one contender."""
