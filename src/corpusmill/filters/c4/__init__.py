"""C4: line and page rules in four dialects, its sentences, its bad words."""
