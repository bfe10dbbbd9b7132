"""From records to batches: the limits every reader keeps, and the account of every record it met.

records in = documents + quarantined + skipped. Skipped are the records that were never documents (requests, images).
"""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import xxhash

from corpusmill.carried import CarriedField, carried_values, without_surrogates
from corpusmill.document import BATCH_BYTES, DOCUMENT, ID_BYTES, QUARANTINE, document_ids
from corpusmill.errors import ConfigError

BATCH_ROWS = 1 << 16
"""A batch of very short texts is cut at this many rows."""

HEAD_BYTES = 4096
"""How much of a bad record is hashed into `head_xxh128`."""


@dataclass(frozen=True)
class Limits:
    """What one record may cost. A record beyond a limit is quarantined; nothing is ever cut to fit.

    max_document_bytes  of text (UTF-8), and of the HTML that text is taken from
    max_record_bytes    of the record that holds it, decompressed; JSON escapes blow text up to six times
    max_ratio           bytes out per byte in of a compressed file, looked at beyond 64 MiB; gzip can't exceed 1032
                        (a match of 258 bytes costs two bits), zstd and bzip2 can
    max_depth           of JSON arrays and objects
    max_html_s          processor seconds to parse one page: nesting makes every HTML parser quadratic
    """

    max_document_bytes: int = 16 << 20
    max_record_bytes: int = 64 << 20
    max_ratio: int = 1100
    max_depth: int = 64
    max_html_s: float = 5.0

    def __post_init__(self) -> None:
        """Raise ConfigError for a limit that is not positive."""
        for name, value in dataclasses.asdict(self).items():
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
                raise ConfigError(f"{name}: got {value!r}, wanted a number above 0")


@dataclass(frozen=True)
class ReaderOptions:
    """How to read a source.

    text_field, url_field  keys of a JSON object, columns of a Parquet file; url_field None = no url
    date_fields            the first of these that a record has is its date: ISO 8601, or seconds since 1970
    invalid_utf8           `reject` quarantines the record, `replace` puts U+FFFD and counts it
    main_content           take only the main content of HTML pages, without navigation, header and footer
    fields                 what else of a record becomes a column `record.NAME`
    """

    text_field: str = "text"
    url_field: str | None = "url"
    date_fields: tuple[str, ...] = ("date", "timestamp", "created")
    invalid_utf8: Literal["reject", "replace"] = "reject"
    main_content: bool = True
    fields: tuple[CarriedField, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Raise ConfigError for a value that is not allowed."""
        names = [self.text_field, *([] if self.url_field is None else [self.url_field]), *self.date_fields]
        if isinstance(self.date_fields, str) or not all(isinstance(name, str) and name for name in names):
            raise ConfigError(
                f"text_field, url_field, date_fields: got {self.text_field!r}, {self.url_field!r}, "
                f"{self.date_fields!r}; wanted a name, a name or None, and a list of names"
            )
        if self.invalid_utf8 not in ("reject", "replace"):
            raise ConfigError(f"invalid_utf8: got {self.invalid_utf8!r}, wanted 'reject' or 'replace'")
        if not isinstance(self.main_content, bool):
            raise ConfigError(f"main_content: got {self.main_content!r}, wanted true or false")


@dataclass(frozen=True)
class Batch:
    """What a reader yields.

    documents   schema DOCUMENT, then a column `record.NAME` for each carried field
    quarantine  schema QUARANTINE, stage `read`
    skipped     reason → records passed over since the last batch that are no documents
    repaired    reason → documents kept with something put right: `utf8.replaced`, `date.unreadable`, …
    """

    documents: pa.RecordBatch
    quarantine: pa.RecordBatch
    skipped: Mapping[str, int]
    repaired: Mapping[str, int]

    @property
    def records(self) -> int:
        """Records read: documents, quarantined and skipped."""
        return len(self.documents) + len(self.quarantine) + sum(self.skipped.values())


class Collector:
    """Gathers what a reader found until it makes a batch."""

    def __init__(self, source: str, fields: Sequence[CarriedField] = ()) -> None:
        """For the documents of `source`, of which `fields` are carried."""
        self.source = source
        self.fields = fields
        self._clear()

    def _clear(self) -> None:
        self._blocks: list[pa.RecordBatch] = []
        self._locators: list[str] = []
        self._texts: list[bytes] = []
        self._urls: list[str | None] = []
        self._dates: list[int | None] = []
        self._carried: list[list[Any]] = [[] for _ in self.fields]
        self._bytes = 0
        self._bad: list[tuple[str, str, str, int, str]] = []
        self._skipped: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()

    def add(
        self,
        locator: str,
        text: bytes,
        url: str | None = None,
        date: int | None = None,
        repaired: Iterable[str] = (),
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """A document. `text` is valid UTF-8, `date` seconds since 1970, `repaired` names what was put right in it.

        Carried fields are taken from `record`.
        """
        self._carry(record or {}, self._carried)
        self._locators.append(locator)
        self._texts.append(text)
        self._urls.append(url)
        self._dates.append(date)
        self._bytes += len(text)
        self._repaired.update(repaired)

    def add_block(
        self,
        locators: list[str],
        texts: pa.LargeStringArray,
        urls: pa.Array,
        dates: pa.Array,
        records: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Many documents at once; not mixed with `add` in one reader. `dates` of type timestamp[s]."""
        carried: list[list[Any]] = [[] for _ in self.fields]
        for record in records:
            self._carry(record, carried)
        self._blocks.append(document_batch(self.source, locators, texts, urls, dates, self._columns(carried)))
        self._bytes += texts.nbytes

    def reject(self, locator: str, reason: str, detail: str, size: int, head: bytes) -> None:
        """A record that can't be read: `size` in bytes as far as it was read, `head` its beginning.

        `detail` must not quote the record.
        """
        self._bad.append((locator, reason, detail, size, xxhash.xxh3_128_hexdigest(head[:HEAD_BYTES])))

    def skip(self, reason: str, records: int = 1) -> None:
        """Records that are no documents."""
        self._skipped[reason] += records

    def repair(self, reason: str, documents: int = 1) -> None:
        """Documents that are kept although something had to be put right."""
        self._repaired[reason] += documents

    @property
    def full(self) -> bool:
        """Time to `take`."""
        rows = len(self._texts) + len(self._bad) + sum(map(len, self._blocks))
        return self._bytes >= BATCH_BYTES or rows >= BATCH_ROWS

    @property
    def empty(self) -> bool:
        """Nothing gathered since the last `take`."""
        return not (self._blocks or self._texts or self._bad or self._skipped or self._repaired)

    def take(self) -> Batch:
        """What was gathered since the last call."""
        _, offsets, data = pa.array(self._texts, pa.large_binary()).buffers()
        texts = pa.LargeStringArray.from_buffers(len(self._texts), offsets, data)
        urls, dates = pa.array(self._urls, pa.string()), pa.array(self._dates, pa.timestamp("s"))
        rows = document_batch(self.source, self._locators, texts, urls, dates, self._columns(self._carried))
        documents = pa.concat_batches([*self._blocks, rows]) if self._blocks else rows
        batch = Batch(
            documents, self._quarantine(), dict(sorted(self._skipped.items())), dict(sorted(self._repaired.items()))
        )
        self._clear()
        return batch

    def _carry(self, record: Mapping[str, Any], columns: Sequence[list[Any]]) -> None:
        values, unreadable = carried_values(record, self.fields)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        if unreadable:
            self.repair("field.unreadable")

    def _columns(self, carried: Sequence[list[Any]]) -> dict[pa.Field, pa.Array]:
        columns = [field.column for field in self.fields]
        return {column: pa.array(values, column.type) for column, values in zip(columns, carried, strict=True)}

    def _quarantine(self) -> pa.RecordBatch:
        rows = len(self._bad)
        locators, reasons, details, sizes, heads = zip(*self._bad, strict=True) if rows else ((), (), (), (), ())
        columns = [
            pa.array(document_ids(self.source, locators), pa.binary(ID_BYTES)),
            pa.repeat(pa.scalar(self.source, pa.string()), rows),
            pa.array(locators, pa.string()),
            pa.repeat(pa.scalar("read", pa.string()), rows),
            pa.array(reasons, pa.string()),
            pa.array(details, pa.string()),
            pa.array(sizes, pa.int64()),
            pa.array(heads, pa.string()),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=QUARANTINE)


def document_batch(
    source: str,
    locators: list[str],
    texts: pa.LargeStringArray,
    urls: pa.Array,
    dates: pa.Array,
    carried: Mapping[pa.Field, pa.Array],
) -> pa.RecordBatch:
    """Columns as a batch of schema DOCUMENT, with ids, and the carried columns behind them."""
    columns = [
        pa.array(document_ids(source, locators), pa.binary(ID_BYTES)),
        texts,
        pa.repeat(pa.scalar(source, pa.string()), len(locators)),
        pa.array(locators, pa.string()),
        urls,
        dates,
        *carried.values(),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema([*DOCUMENT, *carried]))


def to_utf8(text: str) -> tuple[bytes, bool]:
    """UTF-8, and whether lone surrogates had to become U+FFFD."""
    try:
        return text.encode(), False
    except UnicodeEncodeError:
        return without_surrogates(text).encode(), True


def clean_url(url: object) -> str | None:
    """A string without lone surrogates, or None for anything else."""
    return without_surrogates(url) if isinstance(url, str) else None


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_YEAR_10000 = 253402300800


def parse_date(value: Any) -> int | None:
    """Seconds since 1970 (UTC when no zone is given) of ISO 8601 or of a number of seconds; None when it is neither."""
    try:
        if isinstance(value, str):
            moment = datetime.datetime.fromisoformat(value.strip())
            moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
            return (moment - _EPOCH) // datetime.timedelta(seconds=1)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            seconds = int(value // 1)
            return seconds if abs(seconds) < _YEAR_10000 else None
    except (ValueError, OverflowError):
        return None
    return None
