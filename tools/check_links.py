"""`python -m tools.check_links datasets [--limit 50]`: ask the addresses of a catalogue and write down what they answer.

Needs a network; no test runs it. Polite: one request at a time, a pause between two requests to the same host, HEAD
before GET, ten seconds at most, and robots are told who asks. Entries checked within the last days are left alone.
Only `status`, `checked` and `new_url` change; "archived" is a judgement and stays.
"""
import argparse
import datetime
import re
import sys
import time
import tomllib
from urllib.parse import urlsplit

import requests

from tools.notebooks import ROOT

AGENT = "mlcheat-link-checker (+https://github.com/mlcheat/mlcheat)"
PAUSE = 2.0                      # seconds between two requests to one host


def answer(url: str, session: requests.Session) -> tuple[str, str]:
    """Status of an address, and where it leads when it has moved for good."""
    for method in ("HEAD", "GET"):
        try:
            response = session.request(method, url, timeout=10, allow_redirects=True, stream=True)
        except requests.RequestException:
            return "unknown", ""
        if response.status_code in (404, 410):
            return ("gone", "") if method == "GET" else ("unknown", "")
        if response.ok:
            permanent = [r for r in response.history if r.status_code in (301, 308)]
            moved = permanent and urlsplit(response.url).netloc.removeprefix("www.") != urlsplit(url).netloc.removeprefix("www.")
            return ("moved", response.url) if moved else ("live", "")
    return "unknown", ""


def rewrite(line: str, status: str, new_url: str, today: str) -> str:
    """The line of an entry with what has been found out."""
    line = re.sub(r', (status|checked|new_url) = "[^"]*"', "", line)
    found = f', status = "{status}", checked = "{today}"' + (f', new_url = "{new_url}"' if new_url else "")
    return re.sub(r"\},\s*$", found + "},", line)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.check_links", description=__doc__)
    parser.add_argument("catalogue", choices=["datasets", "libraries", "papers", "other_content"])
    parser.add_argument("--limit", type=int, default=100, help="ask at most so many addresses")
    parser.add_argument("--days", type=int, default=90, help="leave entries alone that were checked within so many days")
    arguments = parser.parse_args()
    path = ROOT / "mlcheat" / "reference" / f"{arguments.catalogue}.toml"
    lines, asked, last = path.read_text(encoding="utf-8").splitlines(), 0, {}
    today = datetime.date.today()
    live = "active" if arguments.catalogue == "libraries" else "live"
    with requests.Session() as session:
        session.headers["User-Agent"] = AGENT
        for i, line in enumerate(lines):
            if not line.startswith("{") or asked >= arguments.limit:
                continue
            entry = tomllib.loads("e = " + line.rstrip(","))["e"]
            checked = entry.get("checked")
            if entry["status"] == "archived" or (checked and (today - datetime.date.fromisoformat(checked)).days < arguments.days):
                continue
            host = urlsplit(entry["url"]).netloc
            time.sleep(max(0.0, last.get(host, 0) + PAUSE - time.monotonic()))
            status, new_url = answer(entry["url"], session)
            last[host], asked = time.monotonic(), asked + 1
            lines[i] = rewrite(line, live if status == "live" else status, new_url or entry.get("new_url", ""), today.isoformat())
            print(f"{status:<8} {entry['url']} {new_url}", flush=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
