"""What a study was predicted to take and what it took, as a section of its page."""

from collections.abc import Sequence

from mixlab.plan.actual import StageActual
from mixlab.report.tables import Column, Section, Shown, Table
from mixlab.report.text import UNKNOWN, render_plain

HEADER = (
    *("stage", "made", "predicted_artifacts", "jobs", "predicted_jobs", "seconds", "predicted_seconds"),
    *("seconds_of_predicted", "gpu_hours", "predicted_gpu_hours", "bytes", "predicted_bytes", "bytes_of_predicted"),
)
NOTE = (
    "Predicted as if nothing had been made, by formula or by what like artifacts took; a dash where neither is known. "
    "“Of it” is what just that came to which could be predicted. A stage made again counts each time."
)


def build_price_section(stages: Sequence[StageActual], unmade: int) -> Section:
    """Build the part on cost; `unmade`: artifacts that were predicted and not made here."""
    made = [stage for stage in stages if stage.made or stage.predicted_artifacts]
    if not any(stage.made for stage in made):
        said = f"No provenance of a run is here; {unmade} artifacts of the plan have no record of their making."
        return Section("price", "Price", [said], stays=True)
    return Section("price", "Price", list(summarise_price(made, unmade)), tables=[build_price_table(made)])


def summarise_price(stages: Sequence[StageActual], unmade: int) -> Sequence[str]:
    """Say what all jobs took beside what was predicted of them."""
    seconds, known, guessed = (
        sum(getattr(one, name) for one in stages) for name in ("seconds", "seconds_of_predicted", "predicted_seconds")
    )
    said = f"All jobs together took {render_seconds(seconds)} and wrote {render_size(sum(s.bytes for s in stages))}"
    said += f" in {sum(one.made for one in stages)} artifacts."
    sentences = [said]
    if guessed:
        ratio = known / guessed
        sentences.append(
            f"Of what could be predicted ({render_seconds(guessed)}), the actual time was {render_seconds(known)}: "
            f"{ratio:.2f} of it."
        )
    if hours := sum(one.gpu_hours for one in stages):
        held = sum(one.gpu_hours_of_predicted for one in stages)
        predicted = sum(one.predicted_gpu_hours for one in stages)
        sentences.append(
            f"GPU-hours held: {hours:.2f}; of what could be predicted {held:.2f}, predicted {predicted:.2f}."
        )
    if unmade:
        sentences.append(f"{unmade} predicted artifacts have no record of their making here.")
    return sentences


def build_price_table(stages: Sequence[StageActual]) -> Table:
    """One row per stage: artifacts, jobs, time and disk, predicted and actual."""
    columns = [Column("Stage")]
    columns += [
        Column(label, "number")
        for label in (
            "Made",
            "Predicted",
            "Jobs",
            "Predicted",
            "Time",
            "Predicted",
            "Of it",
            "Disk",
            "Predicted",
            "Of it",
        )
    ]
    rows = [_show(stage) for stage in stages]
    records = [[getattr(stage, name) for name in HEADER] for stage in stages]
    return Table("price", "Predicted and actual", tuple(columns), rows, HEADER, records, NOTE)


def _show(stage: StageActual) -> list[Shown]:
    counts = (stage.made, stage.predicted_artifacts, stage.jobs, stage.predicted_jobs)
    has_time = stage.predicted_seconds > 0
    jobs = [render_plain(one) for one in counts]
    if stage.jobs_unknown:
        jobs[2] = f"{jobs[2]} + ?" if stage.jobs else "?"
    return [
        Shown(stage.stage),
        *map(Shown, jobs),
        Shown(render_seconds(stage.seconds)),
        Shown(render_seconds(stage.predicted_seconds) if has_time else UNKNOWN),
        Shown(render_seconds(stage.seconds_of_predicted) if has_time else UNKNOWN),
        Shown(render_size(stage.bytes)),
        Shown(render_size(stage.predicted_bytes) if stage.predicted_bytes else UNKNOWN),
        Shown(render_size(stage.bytes_of_predicted) if stage.predicted_bytes else UNKNOWN),
    ]


def render_seconds(seconds: float) -> str:
    """Render `0.4 s`, `12 min 3 s`, `5 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def render_size(size: float) -> str:
    """Render a size in binary units: `12.3 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
