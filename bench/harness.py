"""Run our code and a peer's in turn on equal data and report the ratio of their times.

A ratio below 1 means that ours is faster. Both sides run in one process with one BLAS thread, alternating which goes
first; the result of both is compared before any time is reported, so a fast wrong answer fails.
"""
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True)
class Case:
    """Two ways to do the same on the same data.

    `compare(ours, theirs)` gets what the two returned and returns a list of complaints, empty when ours is as good.
    """

    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    compare: Callable[[Any, Any], list[str]]


@dataclass(frozen=True)
class Item:
    """One row of the table: what is compared with whom, at which sizes, and the ratio we aim for."""

    name: str
    what: str
    reference: str
    target: float
    sizes: dict[str, dict]
    make: Callable[..., Case]
    needs: str = ""                       # a module that the peer needs and the project does not
    grow: Callable[[int], dict] | None = None      # arguments of `make` for n rows, for the growth from 1e3 to 1e6
    note: str = ""                        # one sentence for the page: what decides the ratio, where the peer wins

    @property
    def possible(self) -> bool:
        return not self.needs or find_spec(self.needs) is not None


@dataclass(frozen=True)
class Result:
    name: str
    what: str
    reference: str
    size: str
    target: float
    ratio: float
    low: float
    high: float
    ours_ms: float
    theirs_ms: float
    pairs: int

    @property
    def met(self) -> bool:
        return self.ratio <= self.target


class QualityError(AssertionError):
    """Ours was not as good as theirs; its speed means nothing."""


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _pairs(ours: Callable[[], Any], theirs: Callable[[], Any], budget: float, least: int, most: int) -> list[tuple[float, float]]:
    """Times of both, alternating which goes first, until `budget` seconds are spent (at least `least` pairs)."""
    pairs, spent = [], 0.0
    while len(pairs) < least or (spent < budget and len(pairs) < most):
        if len(pairs) % 2:
            a, b = _seconds(ours), _seconds(theirs)
        else:
            b, a = _seconds(theirs), _seconds(ours)
        pairs.append((a, b))
        spent += a + b
    return pairs


def measure(item: Item, size: str = "standard", *, budget: float = 4.0, least: int = 7, most: int = 200) -> Result:
    """Interleaved pairs; medians and quartiles of the ratio."""
    from threadpoolctl import threadpool_limits

    if size not in item.sizes:
        raise ValueError(f"{item.name} has no size {size!r}; it has {', '.join(item.sizes)}")
    with threadpool_limits(1):
        case = item.make(**item.sizes[size])
        complaints = case.compare(case.ours(), case.theirs())             # also the warm-up
        if complaints:
            raise QualityError(f"{item.name} ({size}): " + "; ".join(complaints))
        pairs = _pairs(case.ours, case.theirs, budget, least, most)
    low, ratio, high = statistics.quantiles([a / b for a, b in pairs], n=4)
    return Result(item.name, item.what, item.reference, size, item.target, round(ratio, 3), round(low, 3), round(high, 3),
                  round(1e3 * statistics.median(a for a, _ in pairs), 3),
                  round(1e3 * statistics.median(b for _, b in pairs), 3), len(pairs))


def two_threads(item: Item, *, budget: float = 3.0, least: int = 7, most: int = 200) -> float:
    """Our time at the standard size with two BLAS threads, relative to one; interleaved, the median."""
    from threadpoolctl import threadpool_limits

    def limited(count: int) -> Callable[[], Any]:
        def run():
            with threadpool_limits(count):
                return case.ours()
        return run

    with threadpool_limits(1):
        case = item.make(**item.sizes["standard"])
    pairs = _pairs(limited(2), limited(1), budget, least, most)
    return round(statistics.median(a / b for a, b in pairs), 3)


@dataclass(frozen=True)
class Grown:
    """Seconds and peak memory (as NumPy allocates it, in MB) of one fit at n rows, for both sides."""

    name: str
    n: int
    ours: float
    theirs: float
    ours_mb: float
    theirs_mb: float


def _peak(function: Callable[[], Any]) -> float:
    import tracemalloc

    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return round(peak / 1e6, 2)


def growth(item: Item, *, limit: float = 15.0, rows=(1_000, 10_000, 100_000, 1_000_000)) -> list[Grown]:
    """One fit at each number of rows, the better of two where it is short; ends before a fit would pass `limit` seconds."""
    from threadpoolctl import threadpool_limits

    found: list[Grown] = []
    with threadpool_limits(1):
        for n in rows:
            if found:
                last = found[-1]
                before = found[-2] if len(found) > 1 else None
                factor = max([10.0] + [getattr(last, s) / max(getattr(before, s), 1e-6) for s in ("ours", "theirs") if before])
                if max(last.ours, last.theirs) * factor > limit:
                    break
            case = item.make(**item.grow(n))
            a, b = _seconds(case.ours), _seconds(case.theirs)
            if max(a, b) < 2:
                a, b = min(a, _seconds(case.ours)), min(b, _seconds(case.theirs))
            found.append(Grown(item.name, n, round(a, 5), round(b, 5), _peak(case.ours), _peak(case.theirs)))
    return found


def slope(rows: list[dict], side: str) -> float:
    """The exponent p of time ~ n**p, fitted to the last three points on a log-log plot."""
    import math

    last = rows[-3:]
    x, y = [math.log(r["n"]) for r in last], [math.log(r[side]) for r in last]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x)


def machine() -> str:
    """The machine in words: processor family, cores, versions."""
    import os

    import numpy
    import scipy
    import sklearn

    return (f"{platform.machine()}, {os.cpu_count()} cores, one BLAS thread; Python {platform.python_version()}, "
            f"NumPy {numpy.__version__}, SciPy {scipy.__version__}, scikit-learn {sklearn.__version__}")


def table(results: list[dict]) -> str:
    """The results as a Markdown table."""
    lines = ["| item | against | size | ratio (quartiles) | target | ours, ms | theirs, ms |",
             "|:---|:---|:---|---:|---:|---:|---:|"]
    for r in results:
        mark = " (missed)" if r["size"] == "standard" and r["ratio"] > r["target"] else ""
        lines.append(f"| {r['what']} | {r['reference']} | {r['size']} | {r['ratio']:.2f} ({r['low']:.2f} to {r['high']:.2f}) "
                     f"| {r['target']:g}{mark} | {r['ours_ms']:.2f} | {r['theirs_ms']:.2f} |")
    return "\n".join(lines)


def geometric_mean(results: list[dict]) -> float:
    """Of the ratios to scikit-learn's estimators at the standard size."""
    import math

    ratios = [r["ratio"] for r in results if r["size"] == "standard" and r["reference"].startswith("scikit-learn")]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.nan


def store(results: list[Result] = (), path: Path = RESULTS, grown: list[Grown] = (), threads: dict[str, float] | None = None) -> None:
    """Put the results into the file, in place of older ones of the same item and size (growth: of the same item)."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    new = [r.__dict__ for r in results]
    keys = {(r["name"], r["size"]) for r in new}
    merged = sorted([r for r in old.get("results", []) if (r["name"], r["size"]) not in keys] + new,
                    key=lambda r: (r["name"], r["size"]))
    names = {g.name for g in grown}
    longer = sorted([g for g in old.get("growth", []) if g["name"] not in names] + [g.__dict__ for g in grown],
                    key=lambda g: (g["name"], g["n"]))
    text = json.dumps({"machine": machine(), "results": merged, "growth": longer,
                       "two_threads": old.get("two_threads", {}) | (threads or {})}, indent=1) + "\n"
    path.with_suffix(".tmp").write_text(text, encoding="utf-8")
    path.with_suffix(".tmp").replace(path)
