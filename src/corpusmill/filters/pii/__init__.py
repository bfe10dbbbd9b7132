"""Personal data: what is found, and what stands in for it."""
