"""Numbers as people read them: percent for accuracy, points for a judge, a dash for what is not known."""

import re

from mixlab.analysis.statistics import Estimate

UNKNOWN = "–"
BEFORE, AFTER = "before SFT", "after SFT"
STAGES = {"before_sft": BEFORE, "after_sft": AFTER, "served": "served"}
# Marks an error that says nothing about seeds, because one seed cannot say anything about them.
ITEMS_ONLY = "ⁱ"


def describe_measure(measure: str) -> str:
    """Name a measure with its unit."""
    return "judge score, 1 to 10" if measure == "judge_score" else f"{measure}, %"


def render_score(measure: str, value: float | None) -> str:
    """Render a mean or a difference: `53.1` (percent) or `6.25` (judge points)."""
    if value is None:
        return UNKNOWN
    text = f"{value * 100:.1f}" if measure != "judge_score" else f"{value:.2f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def render_error(measure: str, estimate: Estimate) -> str:
    """Render `± 4.0`, the error over seeds, or `± 4.0ⁱ` over items where one seed leaves no other."""
    if estimate.se_seeds is not None:
        return f"± {render_score(measure, estimate.se_seeds)}"
    if estimate.se_items is not None:
        return f"± {render_score(measure, estimate.se_items)}{ITEMS_ONLY}"
    return f"± {UNKNOWN}"


def render_estimate(measure: str, estimate: Estimate | None) -> str:
    """Render `53.1 ± 4.0`; a cell without a mean says why."""
    if estimate is None:
        return "not run"
    if estimate.mean is None:
        # items were scored, and yet no model has all of the group's benchmarks
        return "no whole model" if estimate.n_items else "none parsed"
    return f"{render_score(measure, estimate.mean)} {render_error(measure, estimate)}"


def render_ratio(value: float | None) -> str:
    """Render a difference in standard errors: `12.3`."""
    return UNKNOWN if value is None else f"{value:.1f}".replace("-", "−")


def render_p(p: float) -> str:
    """Render a p-value: `0.012`, `< 0.001`, or with a digit more beside the usual level: `0.0496`."""
    text = f"{p:.3f}"
    return "< 0.001" if p < 0.001 else f"{p:.4f}" if text == "0.050" else text


def render_plain(value: object) -> str:
    """Render a value of a certificate: thousands apart, at most four digits after the point."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(value)


def to_anchor(kind: str, name: str) -> str:
    """Build an anchor for a key: letters, digits and dashes."""
    return f"{kind}-{re.sub(r'[^A-Za-z0-9]+', '-', name)}"
