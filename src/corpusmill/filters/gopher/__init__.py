"""Gopher's quality and repetition rules, and FineWeb's and FineWeb-2's, which are built on them."""
