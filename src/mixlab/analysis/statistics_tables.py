"""The tables of statistics that an aggregate may have, read back as texts."""

from pathlib import Path

from mixlab.analysis import cell_intervals, ranking, relative, study_tests
from mixlab.analysis.cells import read_csv

FILES = {
    "tests": study_tests.FILE,
    "ranking": ranking.FILE,
    "relative": relative.FILE,
    "intervals": cell_intervals.INTERVALS,
    "variance": cell_intervals.VARIANCE,
}


def read_statistics(aggregate: Path) -> dict[str, list[dict[str, str]]]:
    """Read each table that is there, by name: a study that claims nothing has no tests, one point no ranking."""
    return {name: read_csv(aggregate / file) for name, file in FILES.items() if (aggregate / file).exists()}
