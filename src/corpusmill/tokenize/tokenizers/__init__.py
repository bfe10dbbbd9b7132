"""Train, load, convert and compare tokenizers; texts to token ids and back."""
