"""The pictures of the page on speed, as SVG: they follow light and dark mode and need no library."""
import html
import math

from bench.harness import slope

OURS, THEIRS = "#0072b2", "#d55e00"


def ratios(results: list[dict]) -> str:
    """Ratios at the standard size as bars from 1 on a log axis, with the target as a mark."""
    rows = sorted((r for r in results if r["size"] == "standard"), key=lambda r: r["ratio"])
    if not rows:
        return ""
    low = math.log10(min(0.5, min(min(r["ratio"], r["target"]) for r in rows)) / 1.3)
    high = math.log10(max(2.0, max(max(r["ratio"], r["target"]) for r in rows)) * 1.2)
    left, width, step = 250, 470, 22
    place = lambda v: left + width * (math.log10(v) - low) / (high - low)          # noqa: E731
    height = 40 + step * len(rows)
    parts = []
    for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5):
        if low <= math.log10(tick) <= high:
            strong = ' class="one"' if tick == 1 else ""
            parts.append(f'<line{strong} x1="{place(tick):.1f}" x2="{place(tick):.1f}" y1="24" y2="{height - 8}"/>'
                         f'<text x="{place(tick):.1f}" y="16" text-anchor="middle">{tick:g}</text>')
    for i, r in enumerate(rows):
        y = 30 + step * i
        x, one = place(r["ratio"]), place(1)
        color = OURS if r["ratio"] <= 1 else THEIRS
        parts.append(f'<rect x="{min(x, one):.1f}" y="{y}" width="{max(abs(x - one), 1.5):.1f}" height="13" fill="{color}"/>'
                     f'<path class="target" d="M{place(r["target"]):.1f} {y - 3}v19"/>'
                     f'<text x="{left - 8}" y="{y + 11}" text-anchor="end">{html.escape(r["name"].replace("_", " "))}</text>'
                     f'<text x="{max(x, one, place(r["target"])) + 8:.1f}" y="{y + 11}">{r["ratio"]:.2f}</text>')
    said = "Ratios of our time to the peer's on a log axis, the fastest first: " + ", ".join(
        f"{r['name'].replace('_', ' ')} {r['ratio']:.2f}" for r in rows)
    return _svg(parts, left + width + 60, height, said)


def growths(grown: list[dict]) -> str:
    """Small log-log plots of time against rows, ours and the peer's, with the exponents of both."""
    names = list(dict.fromkeys(g["name"] for g in grown))
    wide, high, across = 190, 150, 4
    parts = []
    for i, name in enumerate(names):
        rows = [g for g in grown if g["name"] == name]
        if len(rows) < 2:
            continue
        x0, y0 = 40 + (i % across) * wide, 24 + (i // across) * high
        times = [g[side] for g in rows for side in ("ours", "theirs")]
        bottom, top = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
        x = lambda n, x0=x0: x0 + 130 * (math.log10(n) - 3) / 3                     # noqa: E731
        y = lambda t, y0=y0, b=bottom, u=top: y0 + 90 - 90 * (math.log10(t) - b) / max(u - b, 1)      # noqa: E731
        parts.append(f'<path class="axis" d="M{x0} {y0}v90h130"/>'
                     f'<text x="{x0}" y="{y0 - 8}" class="part">{html.escape(name.replace("_", " "))}</text>'
                     f'<text x="{x0 - 4}" y="{y0 + 92}" text-anchor="end">{10.0**bottom:g} s</text>'
                     f'<text x="{x0 - 4}" y="{y0 + 8}" text-anchor="end">{10.0**top:g} s</text>'
                     + "".join(f'<text x="{x(10**k):.0f}" y="{y0 + 104}" text-anchor="middle">1e{k}</text>' for k in (3, 4, 5, 6)))
        for side, color, dash in (("theirs", THEIRS, "4 3"), ("ours", OURS, "")):
            line = " ".join(f"{x(g['n']):.1f},{y(g[side]):.1f}" for g in rows)
            parts.append(f'<polyline points="{line}" stroke="{color}" stroke-dasharray="{dash}"/>')
        parts.append(f'<text x="{x0 + 6}" y="{y0 + 12}">n<tspan dy="-4" font-size="8">{slope(rows, "ours"):.1f}</tspan>'
                     f'<tspan dy="4"> ours, n</tspan><tspan dy="-4" font-size="8">{slope(rows, "theirs"):.1f}</tspan>'
                     '<tspan dy="4"> theirs</tspan></text>')
    height = 24 + high * math.ceil(len(names) / across)
    said = "Time against number of rows on log-log axes; exponents, ours and theirs: " + ", ".join(
        f"{n.replace('_', ' ')} {slope(r, 'ours'):.1f} and {slope(r, 'theirs'):.1f}" for n in names
        if len(r := [g for g in grown if g["name"] == n]) > 1)
    return _svg(parts, 40 + across * wide, height, said)


def _svg(parts: list[str], width: float, height: float, said: str) -> str:
    return (f'<div class="speed-chart" tabindex="0" role="region" aria-label="chart"><svg viewBox="0 0 {width:.0f} {height:.0f}" '
            f'width="{width:.0f}" role="img" xmlns="http://www.w3.org/2000/svg"><title>{html.escape(said)}</title>'
            + "".join(parts) + "</svg></div>")


def memory(grown: list[dict]) -> str:
    """The peak of memory at the largest number of rows measured, as a Markdown table."""
    lines = ["| item | rows | ours, MB | theirs, MB |", "|:---|---:|---:|---:|"]
    for name in dict.fromkeys(g["name"] for g in grown):
        g = [g for g in grown if g["name"] == name][-1]
        lines.append(f"| {name.replace('_', ' ')} | {g['n']:,} | {g['ours_mb']:.0f} | {g['theirs_mb']:.0f} |")
    return "\n".join(lines)
