"""`mixlab noise`: replicates of one mixture, by which the noise of IPT is known: their cost, and what they show."""

import subprocess
import sys
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Any

import click
import yaml

from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import example, json_option, open_store, print_json
from mixlab.cli._named import find_aggregates
from mixlab.cli._price_json import describe_price
from mixlab.cli._price_text import print_price
from mixlab.cli._pricing import Terms, price_plan
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.studies import STUDIES
from mixlab.config.study import Study
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.stages import STAGES

if TYPE_CHECKING:
    from mixlab.analysis.noise import Noise

_WRITTEN = "# Replicates of one mixture, written by `mixlab noise`; see docs/statistics.md."


@click.command(epilog=example("mixlab noise demo half", "mixlab noise demo half --ipt-seeds 5 --run"))
@click.argument("study")
@click.argument("variant")
@click.option("--ipt-seeds", type=click.IntRange(min=2), default=4, show_default=True, help="IPT runs, all told.")
@click.option("--base-model", metavar="NAME", help="The base model to replicate on; needed where there are several.")
@click.option("--run", "is_run", is_flag=True, help="Run what is missing, by Snakemake with profile local.")
@json_option
def command(study: str, variant: str, ipt_seeds: int, base_model: str | None, is_run: bool, as_json: bool) -> None:
    """Write a study of replicates of one mixture, `studies/STUDY-noise.yaml`, and say what it costs.

    It extends STUDY by more IPT seeds of VARIANT and leaves out everything else; what STUDY has made of VARIANT is
    shared. Once it is finished, the same command says the noise it shows, as the section `noise` that a study states:
    the one-sided 80 % upper limits, since few replicates may lie near each other by luck, with the estimates beside.
    """
    store = open_store()
    written = build_plan(store.root, [study], check_files=False).studies[study]
    name = f"{study}-noise"
    planned = _write_study(store, name, build_overlay(study, written, variant, ipt_seeds, base_model))
    if is_run:
        _run_snakemake(store, name)
    states = read_states(store, STAGES)
    noise, items, unknown = _measure(store, planned)
    if as_json:
        priced = describe_price(price_plan(store, planned, states, _TERMS))
        limits = {measure: {one: _round(it.upper) for one, it in found.items()} for measure, found in noise.items()}
        estimates = {measure: {one: vars(it) for one, it in found.items()} for measure, found in noise.items()}
        print_json(
            {
                "study": name,
                "price": priced,
                "noise": limits,
                "estimates": estimates,
                "items": items,
                "unknown": unknown,
            }
        )
        return
    on, option = (f" on {base_model}", f" --base-model {base_model}") if base_model else ("", "")
    click.echo(f"{STUDIES}/{name}.yaml: {ipt_seeds} IPT seeds of '{variant}'{on}")
    if noise or unknown:
        click.echo("".join([render_noise(noise, items) if noise else "", *(f"# {one}\n" for one in unknown)]), nl=False)
        return
    print_price(price_plan(store, planned, states, _TERMS))
    click.echo(f"Run it: mixlab noise {study} '{variant}' --ipt-seeds {ipt_seeds}{option} --run")


_TERMS = Terms(None, None, None, None)


def build_overlay(name: str, study: Study, variant: str, ipt_seeds: int, base_model: str | None) -> dict[str, Any]:
    """Return what the study of replicates says beside what it extends; raises ConfigError for what is not there."""
    problems = []
    if variant not in study.variants:
        message = f"no variant is named '{variant}'{did_you_mean(variant, study.variants)}"
        problems.append(Problem(message, key="VARIANT"))
    used = study.variants[variant].base_models if variant in study.variants else None
    possible = used or tuple(study.base_models)
    if base_model is not None and base_model not in possible:
        hint = did_you_mean(base_model, possible)
        problems.append(Problem(f"'{variant}' has no base model '{base_model}'{hint}", key="--base-model"))
    if base_model is None and len(possible) > 1:
        problems.append(Problem(f"'{variant}' is of several: name one of {', '.join(possible)}", key="--base-model"))
    if problems:
        raise ConfigError(problems)
    chosen = base_model or possible[0]
    # the study's own seeds first: their models are shared with it
    more = (seed for seed in count(1) if seed not in study.seeds.ipt_seed)
    seeds = list(islice(chain(study.seeds.ipt_seed, more), ipt_seeds))
    overlay: dict[str, Any] = {
        # beside it, in the same folder
        "extends": f"{name.rpartition('/')[2]}.yaml",
        "title": f"Noise of {variant}",
        "base_models": {one: None for one in study.base_models if one != chosen},
        "variants": {
            **{one: None for one in study.variants if one != variant},
            variant: {"base_models": [chosen]},
        },
        "seeds": {"ipt_seed": seeds},
        "effects": [],
        "report": {"order": []},
    }
    if study.targets:
        overlay["targets"] = None
    if study.served_models:
        overlay["served_models"] = None
    if study.pairwise is not None:
        overlay["pairwise"] = None
    if study.sft is not None and study.sft.others:
        overlay["sft"] = {"others": None}
    return overlay


def _write_study(store: Store, name: str, overlay: dict[str, Any]) -> Planned:
    """Write the study and plan it; one that cannot be planned is not left behind, one of the user's not replaced."""
    path = store.root / STUDIES / f"{name}.yaml"
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if before is not None and not before.startswith(_WRITTEN):
        message = "is a study of yours; move it away, since replicates are written there"
        raise ConfigError(Problem(message, file=str(path.relative_to(store.root))))
    former = [] if before is None else _list_made(store, name)
    text = yaml.safe_dump(overlay, sort_keys=False, allow_unicode=True)
    path.write_text(f"{_WRITTEN}\n{text}", encoding="utf-8")
    try:
        planned = build_plan(store.root, [name])
        if left := [key for key in former if key not in planned.plan.nodes]:
            said = f"IPT {', '.join(left)}: replicates that {STUDIES}/{name}.yaml named before and names no more"
            click.echo(
                f"! {said}; `mixlab gc` frees what no study needs, so keep a copy of that study for them", err=True
            )
        return planned
    except ConfigError:
        if before is None:
            path.unlink()
        else:
            path.write_text(before, encoding="utf-8")
        raise


def _list_made(store: Store, name: str) -> list[str]:
    """List the keys of finished IPT runs of a study; none where it cannot be planned any more."""
    try:
        plan = build_plan(store.root, [name], check_files=False).plan
    except ConfigError:
        return []
    states = read_states(store, STAGES)
    return [node.key for node in plan.by_stage("ipt") if states.is_finished(node.name)]


def _run_snakemake(store: Store, name: str) -> None:
    """Run the study; leaves with Snakemake's exit code when it fails."""
    command = [sys.executable, "-m", "snakemake", "--profile", "local", "all", "--config", f"study={name}"]
    done = subprocess.run(command, cwd=store.root, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def render_noise(noise: "dict[str, dict[str, Noise]]", items: dict[str, int]) -> str:
    """Render the section `noise` by its upper limits, each estimate and its degrees of freedom as a comment."""
    lines = ["noise:", "  measures:"]
    for measure, found in noise.items():
        lines.append(f"    {measure}:")
        for name, one in found.items():
            lines.append(f"      {name}: {_round(one.upper)}  # 80 % limit; estimate {one.estimate:.3g}, df {one.df}")
        absent = [name for name in ("ipt_seed", "sft_seed") if name not in found]
        lines += [f"      # {name}: not repeated, so not known apart from what lies outside it" for name in absent]
    counts = yaml.safe_dump({"items": items}, allow_unicode=True).splitlines() if items else []
    return "\n".join([*lines, *(f"  {line}" for line in counts)]) + "\n"


def _round(value: float) -> float:
    return float(f"{value:.3g}")


def _measure(store: Store, planned: Planned) -> "tuple[dict[str, dict[str, Noise]], dict[str, int], list[str]]":
    """Return noise and items of a finished study after SFT, or before it where it has none, and what has no part in it.

    Nothing while it runs.
    """
    ((name, study),) = planned.studies.items()
    key = find_aggregates(planned.plan)[name]
    if not store.is_complete("aggregate", key):
        return {}, {}, []
    # pyarrow takes its time, and the first call needs no table
    from mixlab.analysis.noise import count_scored_items, list_unknown, measure_noise

    aggregate, stage = store.open("aggregate", key), "after_sft" if study.sft is not None else "before_sft"
    noise, items = measure_noise(aggregate, stage), count_scored_items(aggregate, stage)
    return noise, items, list_unknown(aggregate, stage)
