"""The fault matrix: every scenario at every moment, in every role, on both servers, in both modes."""
