"""Code of other projects, unchanged, each with its licence and origin beside it."""
