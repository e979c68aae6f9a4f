"""Host of stage report."""

from pathlib import Path

from mixlab.plan.specs import ReportSpec
from mixlab.report.page import write_report
from mixlab.stages.job import Inputs


def run(spec: ReportSpec, inputs: Inputs, out: Path) -> None:
    """Write tables, figures and the page of a study."""
    write_report(spec.report, inputs.one("aggregate"), out)
