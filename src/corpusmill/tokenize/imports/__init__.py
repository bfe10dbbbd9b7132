"""Tokens in the file formats of other trainers, read as documents, one module per format."""
