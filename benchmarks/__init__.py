"""Figures, not tests: every kernel and the whole path, one core, beside datatrove on the same documents in one run."""
