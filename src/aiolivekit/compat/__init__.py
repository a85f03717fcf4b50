"""What only compatibility with the official SDK needs, one thing a module, with the reason beside it."""
