"""All the Beam wiring: read, curate, deduplicate, tokenize, pack, and the run around them."""
