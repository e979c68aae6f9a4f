"""`mixlab watch`: training runs as their metrics tell them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mixlab.cli._common import example, json_option, open_store, print_json, render_table
from mixlab.config.problems import ConfigError, Problem
from mixlab.training.watching.history import History, read_histories

_COLUMNS = ("step", "loss", "learning_rate", "gradient_norm", "tokens_per_second", "mfu", "data_share")


@click.command(epilog=example("mixlab watch", "mixlab watch 3f2a 81bc --plot losses.png"))
@click.argument("keys", nargs=-1, metavar="[KEY...]")
@click.option("--last", type=click.IntRange(min=1), default=10, show_default=True, help="Steps to show of each run.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw loss curves into this file (.png, .svg, .pdf).")
@json_option
def command(keys: tuple[str, ...], last: int, plot: Path | None, as_json: bool) -> None:
    """List the training runs of this folder, or show the last steps of those with these keys (or beginnings of keys).

    Reads metrics/<stage>/<key>.jsonl, which every run on this machine writes as it goes on.
    """
    histories = _choose(read_histories(open_store().metrics), keys)
    if as_json:
        print_json([one.describe() | ({"last": one.steps[-last:]} if keys else {}) for one in histories])
    elif keys:
        for one in histories:
            _print_run(one, last)
    else:
        _print_list(histories)
    if plot is not None:
        _draw(histories, plot)
        click.echo(f"drawn: {plot}", err=as_json)


def _choose(histories: Sequence[History], keys: Sequence[str]) -> list[History]:
    """The runs meant; raises ConfigError for every word that is the beginning of no run's key, or of several."""
    chosen: list[History] = []
    problems = []
    for word in keys:
        found = [one for one in histories if one.key.startswith(word)]
        if len(found) != 1:
            known = ", ".join(f"{one.stage} {one.key}" for one in (found or histories)) or "none"
            what = "is the beginning of several keys" if found else "is the beginning of no run's key"
            problems.append(Problem(f"'{word}' {what}; runs: {known}"))
        chosen += found
    if problems:
        raise ConfigError(problems)
    return chosen if keys else list(histories)


def _print_list(histories: Sequence[History]) -> None:
    if not histories:
        click.echo("no training run has been watched here")
        return
    rows = []
    for one in histories:
        said = one.describe()
        step = f"{said['step'] or 0}/{said['steps']}"
        cells = [_number(said[name]) for name in ("loss", "tokens_per_second", "mfu")]
        rows.append([one.stage, one.key, said["state"], step, *cells, said["starts"], _when(one), one.label])
    header = ("stage", "key", "state", "step", "loss", "tokens/s", "mfu", "starts", "last line (UTC)", "label")
    click.echo(render_table(header, rows))


def _print_run(history: History, last: int) -> None:
    said = history.describe()
    click.echo(f"{history.stage} {history.key} {history.label}".rstrip())
    far = f"step {said['step'] or 0} of {said['steps']}"
    click.echo(f"{said['state']}, {far}, starts: {said['starts']}, last line: {_when(history)} UTC")
    rows = [[_number(row[name]) for name in _COLUMNS] for row in history.steps[-last:]]
    click.echo(render_table(_COLUMNS, rows))
    for cell, losses in sorted(history.validation().items()):
        step, loss = losses[-1]
        click.echo(f"validation {cell}: {_number(losses[0][1])} -> {_number(loss)} (step {losses[0][0]} -> {step})")
    for row in history.rows:
        if row["event"] in ("spike", "rollback", "not_finite"):
            click.echo(f"! step {row['step']}: {row['event'].replace('_', ' ')}, loss {_number(row['loss'])}")


def _number(value: Any) -> str:
    """Render a number in four digits, a large one whole; text, of what is not finite, stays."""
    if isinstance(value, int | float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return "-" if value is None else str(value)


def _when(history: History) -> str:
    return datetime.fromtimestamp(history.last_time, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _draw(histories: Sequence[History], path: Path) -> None:
    from mixlab.report.loss_curves import FORMATS, draw_losses

    if path.suffix not in FORMATS:
        raise ConfigError(Problem(f"'{path}': cannot draw this format; name a file that ends in {', '.join(FORMATS)}"))
    named = [(f"{one.stage} {one.key[:8]}", one) for one in histories]
    training = {name: losses for name, one in named if (losses := one.losses())}
    validation = {f"{name} {cell}": losses for name, one in named for cell, losses in one.validation().items()}
    if not training:
        raise ConfigError(Problem("no run has a loss to draw yet"))
    draw_losses(training, validation, path)
