"""Filters that ask a model: language, quality, perplexity."""
