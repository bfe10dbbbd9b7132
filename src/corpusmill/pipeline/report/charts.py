"""Inline SVG in plain Python. Colours come from the page's style sheet, by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from corpusmill.ledger import DROPPED, KEPT
from corpusmill.pipeline.report.markup import Html, join, short, tag
from corpusmill.pipeline.report.samples import Histogram

_BAR_WIDTH = 1000
_LEFT, _RIGHT, _TOP = 4, 4, 14


def bar(parts: Sequence[tuple[str, str, int]], whole: int) -> Html:
    """A stacked bar of (class, what it is, size) on a track that stands for `whole`."""
    rects, at = [], 0.0
    for cls, title, part in parts:
        width = _BAR_WIDTH * part / whole if whole else 0.0
        if width > 0:
            drawn = max(width - 1.5, 1.0)
            box = tag("rect", tag("title", title), x=_f(at), y=0, width=_f(drawn), height=10, cls=cls)
            rects.append(box)
            at += width
    track = tag("rect", x=0, y=0, width=_BAR_WIDTH, height=10, cls="track")
    return tag(
        "svg", track, *rects, viewBox=f"0 0 {_BAR_WIDTH} 10", preserveAspectRatio="none", cls="bar", aria_hidden="true"
    )


def curve(chance: Callable[[float], float], marks: Sequence[tuple[float, str]]) -> Html:
    """`chance` over 0 to 1 as a line in a unit square; a dashed line at each mark."""
    width, height, left, top = 320, 180, 42, 8

    def x(value: float) -> str:
        return _f(left + value * width)

    def y(value: float) -> str:
        return _f(top + (1 - value) * height)

    lines = []
    for tenth in (0, 5, 10):
        value = tenth / 10
        lines += [
            tag("line", x1=x(0), x2=x(1), y1=y(value), y2=y(value), cls="grid"),
            tag("text", f"{tenth * 10} %", x=left - 5, y=_f(float(y(value)) + 3), text_anchor="end"),
            tag("text", f"{value:.1f}", x=x(value), y=top + height + 14, text_anchor="middle"),
        ]
    for at, title in marks:
        lines += [
            tag("line", x1=x(at), x2=x(at), y1=y(0), y2=y(1), cls="bound"),
            tag("text", title, x=_f(float(x(at)) - 4), y=top + 10, text_anchor="end", cls="boundtext"),
        ]
    points = " ".join(f"{x(n / 100)},{y(chance(n / 100))}" for n in range(101))
    label = tag("text", "Jaccard similarity of two documents", x=x(0.5), y=top + height + 30, text_anchor="middle")
    return _figure(
        "share of pairs found, by similarity",
        (left + width + 12, top + height + 36),
        [*lines, tag("polyline", points=points, cls="curve"), label],
    )


def histogram(found: Histogram, title: str, lost: str = DROPPED) -> Html:
    """Kept documents in one colour, dropped ones on top in that of `lost`, bounds as dashed lines with their rules."""
    width, height = 240, 62
    inner = width - _LEFT - _RIGHT
    places = found.positions()
    spans = [right - left for left, right in pairwise(places)]
    density = [(k / s, d / s) for k, d, s in zip(found.kept, found.dropped, spans, strict=True)]
    most = max((k + d for k, d in density), default=0) or 1.0
    paths = {KEPT: "", lost: ""}
    for place, span, (kept, dropped) in zip(places, spans, density, strict=False):
        base = float(_TOP + height)
        for cls, part in ((KEPT, kept), (lost, dropped)):
            tall = height * part / most
            if part > 0:
                tall = max(tall, 0.8)
                wide = max(span * inner - 0.6, 0.4)
                paths[cls] += f"M{_f(_LEFT + place * inner)} {_f(base)}v{_f(-tall)}h{_f(wide)}v{_f(tall)}z"
                base -= tall
    shapes = [tag("path", d=path, cls=cls) for cls, path in paths.items() if path]
    foot = _TOP + height
    shapes.append(tag("line", x1=_LEFT, x2=width - _RIGHT, y1=foot, y2=foot, cls="axis"))
    for at, name in found.bounds:
        x = _f(_LEFT + found.place(at) * inner)
        anchor = "end" if found.place(at) > 0.5 else "start"
        shapes.append(tag("line", x1=x, x2=x, y1=_TOP - 3, y2=foot, cls="bound"))
        shapes.append(tag("text", name, x=x, y=_TOP - 5, text_anchor=anchor, cls="boundtext"))
    low, high = found.edges[0], found.edges[-1] - found.whole_steps
    middle = "log" if found.logarithmic else "" if found.whole_steps else short((low + high) / 2)
    for left, anchor, label in (
        (_LEFT, "start", short(low)),
        (width // 2, "middle", middle),
        (width - _RIGHT, "end", short(high)),
    ):
        shapes.append(tag("text", label, x=left, y=foot + 12, text_anchor=anchor))
    return _figure(title, (width, foot + 16), shapes)


@dataclass(frozen=True)
class Line:
    """A line of `lines`: points are (x, y, half width of the band), x rising."""

    name: str
    points: Sequence[tuple[float, float, float]]


def lines(drawn: Sequence[Line], across: str, up: str) -> Html:
    """Lines with their bands over common axes; at most as many as there are colours, then colours come again."""
    width, height, left, top = 620, 260, 46, 10
    points = [point for line in drawn for point in line.points]
    if not points:
        return Html("")
    most_x = max(x for x, _, _ in points) or 1.0
    low, high = min(y - half for _, y, half in points), max(y + half for _, y, half in points)
    span = (high - low) or 1.0

    def x(value: float) -> str:
        return _f(left + value / most_x * width)

    def y(value: float) -> str:
        return _f(top + (high - value) / span * height)

    shapes = []
    for fifth in range(6):
        level, place = low + span * fifth / 5, most_x * fifth / 5
        shapes += [
            tag("line", x1=x(0), x2=x(most_x), y1=y(level), y2=y(level), cls="grid"),
            tag("text", f"{level:.2f}", x=left - 6, y=_f(float(y(level)) + 3), text_anchor="end"),
            tag("text", short(place), x=x(place), y=top + height + 15, text_anchor="middle"),
        ]
    shapes.append(tag("text", across, x=_f(left + width / 2), y=top + height + 32, text_anchor="middle"))
    for n, line in enumerate(drawn):
        upper = [f"{x(at)},{y(value + half)}" for at, value, half in line.points]
        lower = [f"{x(at)},{y(value - half)}" for at, value, half in reversed(line.points)]
        middle = " ".join(f"{x(at)},{y(value)}" for at, value, _ in line.points)
        value = line.points[-1][1]
        shapes += [
            tag("polygon", points=" ".join([*upper, *lower]), cls=f"band line{n % 4}"),
            tag("polyline", points=middle, cls=f"line line{n % 4}"),
            tag("text", line.name, x=_f(left + width + 6), y=_f(float(y(value)) + 3), cls=f"line{n % 4}"),
        ]
    return tag("figure", _figure(up, (left + width + 90, top + height + 38), shapes), tag("figcaption", up))


def _figure(title: str, extent: tuple[int, int], shapes: Sequence[str]) -> Html:
    return tag(
        "svg", tag("title", title), join(shapes), viewBox=f"0 0 {extent[0]} {extent[1]}", cls="figure", role="img"
    )


def _f(number: float) -> str:
    """A coordinate: one decimal at most, so that the last bits of a float never show."""
    return f"{round(number, 1) + 0.0:g}"
