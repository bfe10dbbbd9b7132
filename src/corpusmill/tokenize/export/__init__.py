"""Packed rows and whole documents in the file formats of other trainers, one module per format."""
