"""The pictures of docs/report.md: `python -m tests.report.screenshots REPORT.html FOLDER`.

The report is one of a Django build with `--diff`; docs/report.md says how it was made.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .browser import browser


def take(report: Path, folder: Path) -> None:
    with browser(1400, 900) as shown:
        shown.open(report)
        shown.evaluate("document.querySelector('header').style.position = 'static'")
        shown.screenshot(folder / "report-difference.png", "#difference")
        shown.evaluate("document.getElementById('difference').remove()")
        shown.screenshot(folder / "report-summary.png", "header", "#tasks")
        shown.screenshot(folder / "report-timeline.png", "#timeline", "#slowest .charts")
        shown.screenshot(folder / "report-errors.png", "#contracts", "#errors")
        shown.evaluate("document.querySelectorAll('#catalog details')[2].open = true")
        shown.screenshot(folder / "report-catalog.png", "#catalog")
        shown.open(report, "#task=cpg_edges", dark=True)
        shown.evaluate("document.querySelector('#plan').scrollIntoView()")
        shown.screenshot(folder / "report-why.png")


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
