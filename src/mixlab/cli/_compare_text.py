"""What `mixlab compare` prints."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from mixlab.analysis.published.beside import GAIN, Beside, Comparison
from mixlab.analysis.published.derivations import Check, Derivation
from mixlab.analysis.published.kodama_oda import BALANCED, HALF_REASONING
from mixlab.analysis.published.significance import COUNTS, Significance
from mixlab.analysis.target_gains import NOT_ESTIMABLE
from mixlab.cli._common import render_table


def print_published(derived: Sequence[Derivation], tested: Sequence[Significance], arithmetic: bool) -> None:
    """Print the checks, then the numbers that do not follow, then the tests."""
    rows = [
        [one.name, len(one.checks) + len(one.gaps), len(one.checks) - len(one.failing), len(one.gaps), one.rule]
        for one in derived
    ]
    click.echo(render_table(("what", "numbers", "follow", "unknown", "by"), rows))
    failing = [(one, check) for one in derived for check in one.failing]
    total = sum(len(one.checks) + len(one.gaps) for one in derived)
    click.echo(f"\n{len(failing)} of {total} numbers do not follow:")
    for one, check in failing:
        click.echo(f"  {one.name}: {render_check(check)}")
    gaps = [(one, gap) for one in derived for gap in one.gaps]
    click.echo(f"\n{len(gaps)} of {total} numbers cannot be computed:")
    for one, gap in gaps:
        click.echo(f"  {one.name}: {gap.where}: printed {gap.printed}, cannot be computed: {gap.why}")
    if arithmetic:
        for one in derived:
            click.echo(f"\n{one.name}: {one.rule}")
            for check in one.checks:
                click.echo(f"  {render_check(check)}")
    click.echo(f"\nTable 3, {HALF_REASONING} against {BALANCED}: Welch's t, two-sided; Holm over the 8 pairs of one n")
    header = ["model", "", "difference", *(f"{what}, n = {n}" for n in COUNTS for what in ("p", "p Holm"))]
    click.echo(render_table(header, _list_tests(tested)))
    for n in COUNTS:
        some = [one for one in tested if one.n == n]
        raw = sum(one.test.p is not None and one.test.p < 0.05 for one in some)
        adjusted = sum(one.p_holm is not None and one.p_holm < 0.05 for one in some)
        click.echo(f"n = {n}: {raw} of {len(some)} below 0.05, {adjusted} after Holm")


def _list_tests(tested: Sequence[Significance]) -> list[list[str]]:
    pairs = dict.fromkeys((one.model, one.language) for one in tested)
    rows = []
    for pair in pairs:
        some = {one.n: one for one in tested if (one.model, one.language) == pair}
        p_values = [p for n in COUNTS for p in (some[n].test.p, some[n].p_holm)]
        difference = some[COUNTS[0]].test.difference
        rows.append([*pair, f"{difference:+.2f}", *("-" if p is None else f"{p:.4f}" for p in p_values)])
    return rows


def render_check(check: Check) -> str:
    """Render one check with its computation."""
    follows = "follows" if check.follows else "does not follow"
    apart = f"apart by {abs(check.apart):.4g}, rounding allows {check.allowed:.4g}"
    return (
        f"{check.where}: printed {check.printed}, computed {check.computed} = {check.computation}: {follows}, {apart}"
    )


def describe_published(derived: Sequence[Derivation], tested: Sequence[Significance]) -> dict[str, Any]:
    """Describe the checks and tests for JSON."""
    return {
        "derivations": [
            {
                "name": one.name,
                "rule": one.rule,
                "numbers": len(one.checks) + len(one.gaps),
                "follow": len(one.checks) - len(one.failing),
                "cannot_be_computed": [asdict(gap) for gap in one.gaps],
                "checks": [asdict(check) for check in one.checks],
            }
            for one in derived
        ],
        "table_3": [asdict(one) for one in tested],
    }


def print_study(compared: Mapping[str, Sequence[Comparison]]) -> None:
    """Print each target beside its table."""
    for name, comparisons in compared.items():
        for one in comparisons:
            matched = f"{one.matched} of {len(one.rows)} published numbers have one beside them"
            click.echo(f"{name}: {one.target} beside {one.table}: {matched}")
            keys = list(one.rows[0].labels) if one.rows else []
            rows = [_render_row(row, keys) for row in one.rows]
            click.echo(render_table([*keys, "what", "published", "here", "difference", "behind it"], rows))
            if one.unmatched:
                click.echo(f"{one.unmatched} cells of the study have no published partner")
            click.echo("")


def _render_row(row: Beside, keys: Sequence[str]) -> list[str]:
    here = row.state if row.ours is None else f"{row.ours:.2f}{f' ({row.state})' if row.state else ''}"
    difference = "" if row.difference is None else f"{row.difference:+.2f}"
    return [*(row.labels[key] for key in keys), row.value, row.printed, here, difference, _render_counts(row)]


def _render_counts(row: Beside) -> str:
    """Render what stands behind a number: `n 2 of 4, items 7 of 8; to n 4 of 4`."""
    if row.ours is None:
        return ""
    told = [f"n {row.n} of {row.n_wanted}"]
    if row.items < row.items_wanted:
        told.append(f"items {row.items} of {row.items_wanted}")
    if row.unparsed:
        told.append(f"{row.unparsed} unparsed")
    text = ", ".join(told)
    if row.other_n is not None:
        unparsed = f", {row.other_unparsed} unparsed" if row.other_unparsed else ""
        text += f"; other side n {row.other_n} of {row.other_wanted}{unparsed}"
    text += f"; {row.left_out} of {row.items_asked} items left out" if row.left_out else ""
    if row.value == GAIN:
        why = f"interval {row.obstacle}" if row.obstacle == NOT_ESTIMABLE else row.obstacle
        is_open = row.low is None or row.high is None
        text += f"; {why}" if is_open else f"; 95 %: {row.low:+.1f} to {row.high:+.1f}"
    return text


def describe_study(compared: Mapping[str, Sequence[Comparison]]) -> dict[str, Any]:
    """Describe comparisons for JSON."""
    return {
        name: [{**asdict(one), "matched": one.matched} for one in comparisons] for name, comparisons in compared.items()
    }
