"""What a plan tells the report of a study's data: the artifacts behind each source, licences, who uses a mixture."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mixlab.config.report_data import DataShown
from mixlab.plan.build import build_plan
from mixlab.plan.expand_report import NO_POLICY
from mixlab.plan.specs import ReportSpec

REPOSITORY = Path(__file__).resolve().parents[3]
Show = Callable[[str], tuple[DataShown, dict[str, tuple[str, ...]]]]


@pytest.fixture
def show(tmp_path: Path) -> Show:
    """Plan the micro study with a text that extends it; what its report names, and the report's parents."""
    (tmp_path / "studies").mkdir()
    for name in ("config.yaml", "sources.lock", "studies/micro.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text(encoding="utf-8"), encoding="utf-8")

    def plan(text: str) -> tuple[DataShown, dict[str, tuple[str, ...]]]:
        (tmp_path / "studies/other.yaml").write_text(f"extends: micro.yaml\n{text}", encoding="utf-8")
        made = build_plan(tmp_path, ["other"], check_files=False).plan
        report = made.nodes[made.targets["other"][0]]
        assert isinstance(report.spec, ReportSpec)
        assert report.spec.report.data is not None
        assert {made.nodes[key].stage for key in report.parents["sources"]} == {"source"}
        return report.spec.report.data, dict(report.parents)

    return plan


def test_every_source_of_a_mixture_is_a_parent_of_the_report(show: Show) -> None:
    shown, parents = show("")
    assert all(source.source for source in shown.sources)
    assert parents["sources"] == tuple(sorted({source.source for source in shown.sources if source.source}))


def test_mixtures_carry_the_names_of_variant_and_base_model_that_use_them(show: Show) -> None:
    shown, _ = show("")
    for mixture in shown.mixtures:
        assert mixture.base_models == ("tiny",)
        assert bool(mixture.variants) == ("ipt" in mixture.purposes)
    assert "even" in {name for mixture in shown.mixtures for name in mixture.variants}


def test_licences_have_tiers_without_any_policy(show: Show) -> None:
    shown, _ = show("licences: null\nsources: {raw_ja: {licence: our own words}}\n")
    assert {source.permission for source in shown.sources} == {NO_POLICY}
    tiers = {source.name: source.tiers for source in shown.sources}
    assert tiers["raw_ja"] == ("unknown",)
    assert all(tiers.values())
