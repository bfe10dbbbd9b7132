"""Web pages as such: their URLs, RefinedWeb's lines, small edits."""
