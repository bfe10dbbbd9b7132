"""Train a tokenizer, encode, plan the packing, write and read shards. No Beam here."""
