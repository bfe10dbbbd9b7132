"""What a document's file is called: rules for source code depend on the extension."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_PACKED = r"\.(?:gz|bz2|xz|zst)$"
_RECORD = r"^.*#"
_URL_END = r"[?#].*$"
_HAS_FILE = r"^[^/]*//[^/]+/(?:.*/)?[^/]+$"


def file_names(batch: pa.RecordBatch, column: str | None) -> pa.Array:
    """string[n]: the path of each document's file, with `/`, and "" where it is not known.

    From the column that is named. Without one: the document's URL up to `?` or `#` where it has a path that does not
    end in `/`; else its locator without `.gz`, `.bz2`, `.xz` and `.zst`. Of a locator `archive#member` the member
    counts; a member that is a number is a record and no file.
    """
    if column is not None:
        return pc.fill_null(batch.column(column), "").cast(pa.string())
    urls = pc.replace_substring_regex(pc.fill_null(batch.column("url"), ""), _URL_END, "")
    members = pc.replace_substring_regex(pc.fill_null(batch.column("locator"), ""), _RECORD, "")
    files = pc.if_else(pc.match_substring_regex(members, r"^\d*$"), "", members)
    files = pc.replace_substring_regex(files, _PACKED, "")
    return pc.if_else(pc.match_substring_regex(urls, _HAS_FILE), urls, files).cast(pa.string())


def last_parts(names: pa.Array) -> pa.Array:
    """string[n]: what stands behind the last `/`."""
    return pc.replace_substring_regex(names, r"^.*/", "")


def extensions(names: pa.Array) -> pa.Array:
    """string[n]: what stands behind the last dot of the last part, in lower case; the whole of it without a dot."""
    return pc.utf8_lower(pc.replace_substring_regex(last_parts(names), r"^.*\.", ""))
