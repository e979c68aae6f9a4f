"""What an average is the mean of: in words, and as averaging.json beside its weights."""

from typing import Any

from mixlab.config.averaging import AveragingSettings

RECORD_FILE = "averaging.json"

_CLOSED_FORMS = {
    "uniform": "w_k = 1 / last",
    "weighted": "w_k = weights_k / sum(weights)",
    "ema": "w_k = decay^k (1 - decay) / (1 - decay^last)",
}


def is_plain(settings: AveragingSettings) -> bool:
    """Whether this is the form that is a bare model folder: the uniform mean in float32, in one file."""
    return settings == AveragingSettings(last=settings.last)


def describe(settings: AveragingSettings, every_steps: int | None) -> str:
    """Say in a line which snapshots an average is of, and how they count."""
    method = {"uniform": "uniform mean", "weighted": "weighted mean", "ema": "exponential moving average"}
    text = f"{method[settings.method]} of {_name_snapshots(settings.last, every_steps)}"
    if settings.delta_scale is not None:
        text += f"; its difference from the base model times {settings.delta_scale}"
    return text


def build_record(settings: AveragingSettings, every_steps: int | None) -> dict[str, Any]:
    """Build averaging.json: method, members (newest first) with their weights, and what was done to the mean.

    `steps_before_end` counts optimizer steps from the last one of the run; it is there when `every_steps` is known.
    """
    coefficients = settings.coefficients()
    total = sum(coefficients)
    members: list[dict[str, Any]] = [
        {"member": f"last-{age:02d}", "weight": float(coefficient / total)}
        for age, coefficient in enumerate(coefficients)
    ]
    if every_steps is not None:
        for age, member in enumerate(members):
            member["steps_before_end"] = age * every_steps
    record: dict[str, Any] = {
        "snapshots": _name_snapshots(settings.last, every_steps),
        "method": settings.method,
        "weights": f"{_CLOSED_FORMS[settings.method]}, k = 0 the newest",
        "members": members,
        "accumulate": settings.accumulate,
        "dtype": settings.dtype,
    }
    if settings.decay is not None:
        record["decay"] = str(settings.decay)
    if settings.delta_scale is not None:
        record["delta"] = {"form": "base + scale (mean - base)", "scale": str(settings.delta_scale)}
    return record


def _name_snapshots(last: int, every_steps: int | None) -> str:
    if every_steps is None:
        return f"the last {last} snapshots"
    if every_steps == 1:
        return f"the models after the last {last} optimizer steps"
    return f"the last {last} snapshots, one every {every_steps} optimizer steps"
