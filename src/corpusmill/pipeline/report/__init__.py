"""`report.html`: one page that accounts for a run, made from what the run committed and from nothing else.

The same run gives the same bytes: no times, no host names, no absolute paths, no figure that depends on the machine.
The page loads nothing and runs nothing; every text that came from the data is escaped.
"""

from __future__ import annotations

from corpusmill.pipeline.report.facts import load
from corpusmill.pipeline.report.page import page
from corpusmill.storage import FileEntry, atomic_writer, join

REPORT = "report.html"


def report_html(directory: str) -> str:
    """The report of the run in `directory`, a local path or a URI.

    Raises NotCommitted when the run has no ledger, IntegrityError when a manifest was changed.
    """
    return page(load(directory))


def write_report(directory: str) -> FileEntry:
    """Write `report.html` into the run directory. Raises as `report_html` does."""
    with atomic_writer(join(directory, REPORT)) as sink:
        sink.write(report_html(directory).encode())
    return FileEntry(REPORT, sink.bytes, sink.sha256)
