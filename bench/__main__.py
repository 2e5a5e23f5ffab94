"""`python -m bench [item ...] [--size small|standard|large] [--growth | --threads]`: measure, print the table, store the results."""
import argparse
import importlib
import pkgutil
import sys

import bench
from bench import harness


def items() -> dict[str, harness.Item]:
    """Every item: the modules of this folder that define ITEM."""
    names = [m.name for m in pkgutil.iter_modules(bench.__path__) if not m.name.startswith("_") and m.name != "harness"]
    modules = [importlib.import_module(f"bench.{name}") for name in names]
    return {m.ITEM.name: m.ITEM for m in modules if hasattr(m, "ITEM")}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("item", nargs="*", help="names of items; all of them by default")
    parser.add_argument("--size", default="standard", choices=["small", "standard", "large"])
    parser.add_argument("--dry-run", action="store_true", help="print only; leave the stored results as they are")
    parser.add_argument("--growth", action="store_true", help="time and memory from 1e3 to 1e6 rows instead of ratios")
    parser.add_argument("--threads", action="store_true", help="our time with two BLAS threads, relative to one")
    arguments = parser.parse_args()
    known = items()
    if unknown := [name for name in arguments.item if name not in known]:
        parser.error(f"no item {', '.join(unknown)}; there are {', '.join(known)}")
    if arguments.growth:
        for name in arguments.item or known:
            if known[name].grow is not None and known[name].possible:
                grown = harness.growth(known[name])
                print(f"{name:<24} " + ", ".join(f"{g.n:.0e}: {g.ours:.3g} s, {g.theirs:.3g} s" for g in grown), flush=True)
                if not arguments.dry_run:
                    harness.store(grown=grown)
        return 0
    if arguments.threads:
        for name in arguments.item or known:
            if known[name].possible:
                ratio = harness.two_threads(known[name])
                print(f"{name:<24} {ratio:6.2f}", flush=True)
                if not arguments.dry_run:
                    harness.store(threads={name: ratio})
        return 0
    results, failures = [], []
    for name in arguments.item or known:
        if not known[name].possible:
            print(f"{name:<24} left out: {known[name].needs} is not installed", flush=True)
            continue
        try:
            results.append(harness.measure(known[name], arguments.size))
            r = results[-1]
            print(f"{name:<24} {r.ratio:6.2f}  ({r.low:.2f} to {r.high:.2f})  target {r.target:g}", flush=True)
        except harness.QualityError as error:
            failures.append(str(error))
    if results and not arguments.dry_run:
        harness.store(results)
    print("\n".join(failures), file=sys.stderr)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
