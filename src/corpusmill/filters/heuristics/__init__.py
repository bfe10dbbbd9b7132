"""Rule sets of ROOTS, NeMo Curator, data-juicer and Dolma."""
