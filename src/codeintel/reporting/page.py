"""The page about a run: facts as data in one self-contained HTML file, drawn by Bokeh's own script.

Nothing is loaded, and no script runs but the ones below: the Content-Security-Policy names their digests. Facts are
JSON in a data block whose `<` are escaped, and reach the page as text only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import msgspec

from codeintel.errors import UsageError
from codeintel.relspec.plan_drawing import DRAWING_SCRIPT, DRAWING_STYLE, Drawing

SECTIONS = (
    ("summary", ""),
    ("difference", "What differs"),
    ("tasks", "What ran and why"),
    ("plan", "The plan"),
    ("timeline", "Timeline"),
    ("slowest", "Slowest tasks"),
    ("contracts", "Contracts"),
    ("errors", "Files with errors"),
    ("catalog", "Catalog"),
    ("drift", "Drift"),
    ("run", "Run"),
)


def report_page(facts: Mapping[str, Any], drawing: Drawing | None) -> str:  # Any: JSON
    """The page, complete: UTF-8, the same bytes for the same facts. Raises UsageError if the extra is not installed."""
    scripts = [*bokeh_scripts(), *([DRAWING_SCRIPT] if drawing else []), _asset("page.js"), _asset("charts.js")]
    allowed = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    run = facts["run"]
    title = escape(f"{run['name']} · {run['status']} · {run['id']}")
    figure = f'<figure id="drawing">{drawing.svg}</figure>' if drawing else "<p>This run left no plan to draw.</p>"
    sections = "".join(
        f'<section id="{name}"><h2>{heading}</h2><div class="body">{figure if name == "plan" else ""}</div></section>'
        if heading
        else f'<section id="{name}"><div class="body"></div></section>'
        for name, heading in SECTIONS
    )
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading in SECTIONS if heading)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        f"img-src data:; script-src {allowed}; base-uri 'none'; form-action 'none'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{_asset('page.css')}{DRAWING_STYLE}</style></head><body>"
        f'<header><h1></h1><nav aria-label="sections">{links}</nav></header>'
        "<noscript><p>This page draws itself: it needs JavaScript, all of which is in this file.</p></noscript>"
        f'<main>{sections}</main><aside id="detail" hidden></aside>'
        f'<script type="application/json" id="facts">{_data(facts)}</script>'
        f"{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>\n"
    )


def bokeh_scripts() -> Sequence[str]:
    """Bokeh's own scripts, as it inlines them itself. Raises UsageError if it is not installed."""
    try:
        from bokeh.resources import Resources  # noqa: PLC0415 - an extra, and not cheap to import
    except ImportError:
        raise UsageError("a report needs the extra [report]; get it with: pip install 'codeintel[report]'") from None
    return Resources(mode="inline", components=["bokeh", "bokeh-api"], log_level="error").js_raw[:2]


def _data(facts: Mapping[str, Any]) -> str:  # Any: JSON
    """JSON in which no text can end the element it stands in."""
    return msgspec.json.encode(facts).decode().replace("<", "\\u003c")


def _asset(name: str) -> str:
    return (files("codeintel.reporting") / name).read_text("utf-8")
