"""What the page tells a reader of the runs behind the numbers."""

from pathlib import Path

from mixlab.config.analysis import ReportSettings
from mixlab.report.page import write_report


def test_cautions_stand_above_the_scores_in_both_forms_of_the_report(
    tmp_path: Path, settings: ReportSettings, aggregate: Path, report: Path
) -> None:
    caution = "1 of 2 scores come from a run UNPROTECTED."
    (tmp_path / "cautious").mkdir()
    write_report(settings, aggregate, tmp_path / "cautious", cautions=[caution])
    for name, begin, end in (("report.md", "## Scores", "**"), ("report.html", "<h2>Scores</h2>", "<table>")):
        said = (tmp_path / "cautious" / name).read_text(encoding="utf-8")
        assert caution in said.partition(begin)[2].partition(end)[0]
        assert "UNPROTECTED" not in (report / name).read_text(encoding="utf-8")
