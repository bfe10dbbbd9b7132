"""HTML by construction: every text is escaped unless it is `Html` already. And how numbers are written."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Controls, marks that reorder text and lone surrogates: shown as U+FFFD, for they could hide what a page says."""

NOTHING = "–"


class Html(str):
    """Markup that is safe to put into the page as it is."""

    __slots__ = ()


def text(value: str) -> Html:
    """`value` escaped, unless it is markup."""
    return value if isinstance(value, Html) else Html(html.escape(_UNFIT.sub("\ufffd", value)))


def code(name: str) -> Html:
    """A name from the recipe, which may break after `_` and `.` only."""
    return tag("code", Html(re.sub("([._])", r"\1<wbr>", text(name))))


def join(parts: Iterable[str], between: str = "") -> Html:
    """Parts, escaped where they are no markup, in a row."""
    return Html(text(between).join(text(part) for part in parts))


def tag(name: str, *content: str, **attributes: str | int | float | None) -> Html:
    """An element. `cls` is the class; `_` in a name stands for `-`; an attribute that is None is left out."""
    given = "".join(
        f' {"class" if key == "cls" else key.replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>{join(content)}</{name}>")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, names: int = 1, cls: str | None = None) -> Html:
    """A table: the first `names` columns are text, the others right-aligned figures. A row of one cell spans all."""

    def cell(kind: str, position: int, content: str) -> Html:
        return tag(kind, content, cls="n" if position >= names else None, scope="col" if kind == "th" else None)

    head = tag("tr", *(cell("th", n, title) for n, title in enumerate(header)))
    body = [
        tag("tr", tag("th", row[0], colspan=len(header), scope="rowgroup"), cls="group")
        if len(row) == 1
        else tag("tr", *(cell("td", n, content) for n, content in enumerate(row)))
        for row in rows
    ]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body), cls=cls), cls="wide")


def count(number: int | float | None) -> str:
    """1234567 → 1,234,567."""
    return NOTHING if number is None else f"{number:,.0f}".replace("-", "−")


def size_of(number: int | float) -> str:
    """Bytes in decimal units: 1234567 → 1.23 MB."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 999.5 or unit == "TB":
            break
        value /= 1000
    digits = 0 if unit == "B" else max(0, 3 - len(str(int(abs(value)))))
    return f"{value:,.{digits}f} {unit}".replace("-", "−")


def percent(part: int | float, whole: int | float | None) -> str:
    """`part` of `whole` in per cent; never rounded to 0 or 100 when it is neither."""
    if not whole:
        return NOTHING
    share = 100 * part / whole
    if 0 < share < 0.05:
        return "< 0.1 %"
    if 99.95 <= share < 100:
        return "> 99.9 %"
    return f"{share:.1f} %"


def short(value: float) -> str:
    """A figure for an axis: three significant digits, 12000 → 12k."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.3g}{unit}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
