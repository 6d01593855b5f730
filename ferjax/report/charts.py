"""Line charts and interval marks as inline SVG; colours come from the page's style."""

import math
from collections.abc import Callable, Sequence
from html import escape

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 560, 300  # of a chart, in its own units
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 34, 44


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) inside [low, high]; never none."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [float(low)]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)] or [float(low)]


def line_chart(
    key: str,
    title: str,
    x_label: str,
    series: Sequence[tuple[str, Points]],
    mark: tuple[float, str] | None = None,
    y_text: Callable[[float], str] = "{:g}".format,
    zero: bool = False,
    whole: bool = False,
) -> str:
    """A chart of one or more lines.

    Args:
      key: letters, unique in the page; ids are made from it.
      title: what is drawn, with its unit.
      x_label: of the x axis.
      series: (name, points); points that are not finite are left out. The i-th line has class `line-i`.
      mark: x and a word for a vertical line there, or None.
      y_text: how a y value reads.
      zero: whether the y axis starts at 0.
      whole: a few points far above the others are not cut off.
    Returns:
      One <svg> element, or "" where there is nothing to draw.
    """
    series = [(name, sorted(p for p in points if all(map(math.isfinite, p)))) for name, points in series]
    xs, ys = ([p[i] for _, points in series for p in points] for i in (0, 1))
    if not xs:
        return ""
    x0, x1 = min(xs), max(xs)
    y0, y1 = min(0.0, *ys) if zero else min(ys), max(ys)
    x0, x1 = (x0, x1) if x1 > x0 else (x0 - 0.5, x1 + 0.5)
    usual = sorted(ys)[int(0.95 * (len(ys) - 1))]
    if (
        y1 > 3 * usual > 0 and len(ys) > 20 and not whole
    ):  # a few points far above the others must not flatten them
        y1 = 1.5 * usual
        title += f" (cut off at {y_text(y1)})"
    pad = 0.06 * (y1 - y0) or 0.05 * abs(y1) or 1.0
    y0, y1 = y0 - (0 if zero else pad), y1 + pad

    def at(x: float, y: float) -> tuple[str, str]:
        y = min(y, y1)
        across = _LEFT + (x - x0) / (x1 - x0) * (WIDTH - _LEFT - _RIGHT)
        return f"{across:.1f}", f"{HEIGHT - _BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - _TOP - _BOTTOM):.1f}"

    out = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{key}-title">',
        f'<title id="{key}-title">{escape(_spoken(title, x_label, series, y_text))}</title>',
        f'<text class="chart-title" x="{_LEFT}" y="18">{escape(title)}</text>',
    ]
    for y in ticks(y0, y1):
        _, v = at(x0, y)
        out.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{v}" y2="{v}"/>')
        out.append(
            f'<text class="tick" x="{_LEFT - 7}" y="{v}" dy="4" text-anchor="end">{escape(y_text(y))}</text>'
        )
    for x in (x for x in ticks(x0, x1, 7) if x.is_integer() or not all(float(v).is_integer() for v in xs)):
        u, _ = at(x, y0)
        out.append(
            f'<text class="tick" x="{u}" y="{HEIGHT - _BOTTOM + 17}" text-anchor="middle">{x:,.10g}</text>'
        )
    base = HEIGHT - _BOTTOM
    out.append(f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    out.append(
        f'<text class="tick" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
    )
    if mark and x0 <= mark[0] <= x1:
        u, _ = at(mark[0], y0)
        late = (mark[0] - x0) / (x1 - x0) > 0.5
        place = f'x="{float(u) + (-5 if late else 5):.1f}" text-anchor="{"end" if late else "start"}"'
        out.append(f'<line class="mark" x1="{u}" x2="{u}" y1="{_TOP - 6}" y2="{base}"/>')
        near = [y for _, points in series for x, y in points if abs(x - mark[0]) < 0.25 * (x1 - x0)]
        high = sum(near) > len(near) * (y0 + y1) / 2  # lines run high: words go below them
        out.append(
            f'<text class="mark-text" {place} y="{base - 9 if high else _TOP + 6}">{escape(mark[1])}</text>'
        )
    for i, (name, points) in enumerate(series):
        path = " ".join(",".join(at(*p)) for p in points)
        out.append(f'<polyline class="line line-{i}" points="{path}"/>')
        if len(points) <= 40:
            for x, y in points:
                u, v = at(x, y)
                label = escape(f"{name}, {x_label} {x:g}: {y_text(y)}")
                out.append(
                    f'<circle class="dot line-{i}" cx="{u}" cy="{v}" r="2.6"><title>{label}</title></circle>'
                )
    if len(series) > 1:
        right = WIDTH - _RIGHT
        for i, (name, _) in reversed(list(enumerate(series))):
            start = right - 7 * len(name)
            out.append(f'<text class="legend" x="{start}" y="18">{escape(name)}</text>')
            out.append(f'<line class="line line-{i}" x1="{start - 24}" x2="{start - 6}" y1="14" y2="14"/>')
            right = start - 40
    return "".join(out) + "</svg>"


def _spoken(title: str, x_label: str, series, y_text) -> str:
    ends = [f"{name} from {y_text(p[0][1])} to {y_text(p[-1][1])}" for name, p in series if p]
    return f"{title} by {x_label}: {'; '.join(ends)}"


def whisker(value: float, low: float, high: float) -> str:
    """A dot at value and its interval on a scale from 0 to 1, for a cell; "" where value is not finite."""
    if not math.isfinite(value):
        return ""
    dot = f'<circle cx="{2 + 76 * value:.1f}" cy="7" r="3"/>'
    if math.isfinite(low) and math.isfinite(high):
        dot = f'<line class="span" x1="{2 + 76 * low:.1f}" x2="{2 + 76 * high:.1f}" y1="7" y2="7"/>' + dot
    return (
        '<svg class="whisker" viewBox="0 0 80 14" aria-hidden="true">'
        f'<line class="axis" x1="2" x2="78" y1="7" y2="7"/>{dot}</svg>'
    )


def dot_chart(
    key: str, title: str, series: Sequence[str], rows: Sequence[tuple[str, Sequence]], level: float = 0.5
) -> str:
    """Values with their intervals on a scale from 0 to 1, a line a row, the series side by side.

    Args:
      key: letters, unique in the page; ids are made from it.
      title: what is drawn.
      series: names; the i-th has class `line-i` and a mark of its own, so that colour is not needed.
      rows: (name, [(value, low, high) or None of each series]); values that are not finite are left out.
      level: where a dashed line stands: chance.
    Returns:
      One <svg> element, or "" where there is nothing to draw.
    """
    if not rows:
        return ""
    left = min(WIDTH / 2, 20 + 6.6 * max(len(name) for name, _ in rows))
    top, tall = 46, 12 * len(series) + 8
    height, scale = top + tall * len(rows) + 26, WIDTH - left - _RIGHT
    said = (f"{name} " + ", ".join(map(_spoken_dot, values)) for name, values in rows)
    spoken = f"{title} {', '.join(series)}: {'; '.join(said)}"
    out = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{key}-title">',
        f'<title id="{key}-title">{escape(spoken)}</title>',
        f'<text class="chart-title" x="4" y="16">{escape(title)}</text>',
    ]
    start = 4
    for i, name in enumerate(series):
        out.append(
            _mark(i, start + 6, 31) + f'<text class="legend" x="{start + 16}" y="35">{escape(name)}</text>'
        )
        start += 34 + 7 * len(name)
    for x in (0.0, 0.25, 0.5, 0.75, 1.0):
        u = f"{left + scale * x:.1f}"
        out.append(f'<line class="grid" x1="{u}" x2="{u}" y1="{top}" y2="{height - 22}"/>')
        out.append(f'<text class="tick" x="{u}" y="{height - 6}" text-anchor="middle">{x:g}</text>')
    u = f"{left + scale * level:.1f}"
    out.append(f'<line class="mark" x1="{u}" x2="{u}" y1="{top}" y2="{height - 22}"/>')
    for r, (name, values) in enumerate(rows):
        y = top + tall * r
        out.append(
            f'<text class="tick" x="{left - 8}" y="{y + tall / 2 + 4:.0f}" text-anchor="end">'
            f"{escape(name)}</text>"
        )
        out.append(f'<line class="grid" x1="4" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        for i, value in enumerate(values):
            if value is None or not _finite(value[0]):
                continue
            v, (a, b) = y + 10 + 12 * i, (value[1], value[2])
            if _finite(a) and _finite(b):
                ends = f'x1="{left + scale * a:.1f}" x2="{left + scale * b:.1f}"'
                out.append(f'<line class="span line-{i}" {ends} y1="{v}" y2="{v}"/>')
            label = escape(f"{name}, {series[i]}: {_spoken_dot(value)}")
            out.append(_mark(i, left + scale * value[0], v, f"<title>{label}</title>"))
    return "".join(out) + "</svg>"


def _spoken_dot(value) -> str:
    return "none" if value is None or not _finite(value[0]) else f"{value[0]:.2f}"


def _finite(value) -> bool:
    """Whether there is a number; JSON knows no NaN and has null for it."""
    return isinstance(value, int | float) and math.isfinite(value)


def _mark(i: int, x: float, y: float, title: str = "") -> str:
    """A circle, a square, a diamond: one a series."""
    if i % 3 == 0:
        return f'<circle class="dot line-{i}" cx="{x:.1f}" cy="{y:.1f}" r="4">{title}</circle>'
    turn = f' transform="rotate(45 {x:.1f} {y:.1f})"' if i % 3 == 2 else ""
    place = f'x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"'
    return f'<rect class="dot line-{i}" {place}{turn}>{title}</rect>'
