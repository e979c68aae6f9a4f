"""Table 3's 17/17/17/50 against 25/25/25/25: what its means and deviations say, by the n one takes behind them."""

from dataclasses import dataclass

from mixlab.analysis.published.kodama_oda import list_pairs
from mixlab.analysis.published.tables import PublishedTable
from mixlab.analysis.summary_tests import SummaryTest, adjust, test_from_summary

COUNTS = (3, 9)
"""3 SFT seeds, whose judge runs are averaged; or 3 seeds x 3 judge runs, taken as nine independent draws."""


@dataclass(frozen=True)
class Significance:
    """One comparison; `p` of Welch's t, two-sided, and as Holm adjusts it over the eight."""

    model: str
    language: str
    mean: float
    sd: float
    against_mean: float
    against_sd: float
    n: int
    test: SummaryTest
    p_holm: float | None


def compare_table_3(table: PublishedTable) -> list[Significance]:
    """Test the eight pairs for each n of COUNTS, n by n; the family of Holm's correction is the eight of one n."""
    found = []
    for n in COUNTS:
        pairs = []
        for model, language, more, even in list_pairs(table):
            numbers = [float(row.read(column).value) for row in (more, even) for column in ("mean", "sd")]
            mean, sd, against_mean, against_sd = numbers
            test = test_from_summary(mean, sd, n, against_mean, against_sd, n)
            pairs.append((model, language, mean, sd, against_mean, against_sd, n, test))
        adjusted = adjust([pair[-1].p for pair in pairs], "holm")
        found += [Significance(*pair, p_holm) for pair, p_holm in zip(pairs, adjusted, strict=True)]
    return found
