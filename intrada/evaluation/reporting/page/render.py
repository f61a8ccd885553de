"""Render the report's HTML page, one file without external resources, so that it can be mailed."""

from __future__ import annotations

import base64
import hashlib
import math
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from intrada.core.plain_text import printable
from intrada.evaluation.reporting import results
from intrada.evaluation.reporting.content import Content
from intrada.evaluation.reporting.results import decimal
from intrada.evaluation.reporting.summary import duration
from intrada.evaluation.validators import CRITERION

TEMPLATES = Path(__file__).parent
SCRIPTS = ("theme.js", "tables.js", "viewer.js")
SECTIONS = {  # the file of its template -> its name in the bar of links
    "result": "Result",
    "findings": "Findings",
    "images": "Images",
    "classes": "Classes",
    "shares": "Shares",
    "confidence": "Confidence",
    "disagreement": "Disagreement",
    "next": "Label next",
    "ranking": "Easy and hard",
    "training": "Training",
    "provenance": "Provenance",
}
LABELS_ONLY = ("classes",)  # sections that need labels of the evaluation images
LAYERS = {"label": "label: the truth", "source": "source: before", "intra": "intra: after"}
RULES = {
    "last": "the end of training",
    "label_free": "the highest mutual information of a pixel and its predicted class, on target images "
    "without their labels",
    "oracle": "the highest mIoU on the evaluation labels. For comparison only: its mIoU is measured on the "
    "labels that selected it, so it must not be reported",
}


def _finalized(value: Any) -> Any:
    """Return a value of the template without control characters, as the title may hold some."""
    is_html = hasattr(value, "__html__")
    return printable(value, keep="\n") if isinstance(value, str) and not is_html else value


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+z.1f}"


def _unbroken(text: str) -> Markup:
    """Keep each percent sign on the line of its number."""
    return escape(printable(text)).replace(" %", Markup("&nbsp;%"))


def render(content: Content) -> str:
    """Return the page as HTML. Its Content-Security-Policy allows only its own script, by its hash."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_finalized,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "decimal": decimal,
        "signed": _signed,
        "duration": duration,
        "unbroken": _unbroken,
    }
    script = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    labelled = results.has_labels(content.models)
    gains = [abs(row.gain) for row in content.classes if not math.isnan(row.gain)]
    return environment.get_template("page.html.j2").render(
        content=content,
        script=Markup(script),  # noqa: S704 - a file of this package
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        sections=[(name, title) for name, title in SECTIONS.items() if labelled or name not in LABELS_ONLY],
        names=[result.name for result in content.models],
        models=results.table(content.models),
        layers=LAYERS,
        gain_range=max([*gains, 1.0]),
        rules=RULES,
        label_free=CRITERION,
        labelled=labelled,
    )
