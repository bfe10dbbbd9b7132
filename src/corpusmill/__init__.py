"""corpusmill: raw text in, packed token shards out, every document accounted for."""
