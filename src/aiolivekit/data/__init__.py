"""What is built on data packets: drivers of `core` managers, which know the engine only as a port."""
