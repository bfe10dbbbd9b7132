"""From texts to shards: tokenizers, packing, shards, and the formats of others. No Beam here."""
