"""Long runs of the dev server (`make soak`): what takes minutes and therefore is no test."""
