"""Faults of the network itself, by the kernel: loss, a link that goes down, another address."""
