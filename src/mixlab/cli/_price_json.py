"""The price of a study as JSON."""

from dataclasses import asdict
from typing import Any

from mixlab.cli._judge_cost import describe_line
from mixlab.cli._price_text import total_of
from mixlab.cli._pricing import Priced
from mixlab.plan.price import Line, TrainingRun


def describe_price(priced: Priced) -> dict[str, Any]:
    """Describe all that is known of the price; `runs` lists every training run."""
    pricing, judging = priced.planned.config.machine.pricing, priced.planned.config.machine.judging
    price = pricing.price_per_gpu_hour
    schedule = priced.schedule
    return {
        "studies": list(priced.planned.plan.targets),
        "stages": [asdict(line) for line in priced.stages],
        "total": asdict(priced.total),
        "gpu": {"name": priced.gpu, **priced.peak.model_dump()},
        "price_per_gpu_hour": price,
        "currency": pricing.currency if price is not None else None,
        "lines": [_describe_line(line, price) for line in priced.lines],
        "totals": [_describe_line(line, price) for line in priced.totals],
        "generation": [asdict(line) for line in (*priced.generation, total_of(priced))],
        "verdicts": priced.verdicts,
        "judgings_unknown": priced.unread,
        "items_unusable": priced.faults,
        "judging": [describe_line(line, judging) for line in priced.judging],
        "wall": {
            "gpus": priced.terms.gpus,
            "cores": priced.terms.count_cores(),
            "seconds": None if schedule.is_unknown else schedule.seconds,
            "chain_seconds": None if schedule.is_unknown else schedule.chain_seconds,
            "jobs_unknown": schedule.unknown,
            "jobs_too_wide": schedule.too_wide,
        },
        "runs": [_describe_run(run) for run in priced.runs],
    }


def _describe_line(line: Line, price: float | None) -> dict[str, Any]:
    costs = {name: asdict(getattr(line, name)) for name in ("done", "to_do", "not_needed")}
    for cost in costs.values():
        cost["price"] = None if price is None else cost["gpu_hours"] * price
    use = None if line.utilisation is None else asdict(line.utilisation)
    return {"base_model": line.base_model, "stage": line.stage, "utilisation": use, **costs}


def _describe_run(run: TrainingRun) -> dict[str, Any]:
    work = asdict(run.workload) if run.workload is not None else {}
    about = {"stage": run.node.stage, "key": run.node.key, "labels": run.node.labels, "base_model": run.base_model}
    return {**about, "state": run.state, "dtype": run.dtype, **work, "flops": run.flops, "unknown": run.unknown or None}
