"""The packed shards: layout, checksums, writer, reader, and what is hidden from readers."""
