"""What a model's card names as its training data: what its mixtures draw from, and nothing they were compared with."""

from checkouts import REPOSITORY

from mixlab.config.report_data import DataShown, ShownMixture, ShownSource
from mixlab.plan.build import build_plan
from mixlab.plan.lineage import find_ancestors
from mixlab.plan.specs import ReportSpec, SourceSpec
from mixlab.stages.model_exports import list_sources
from mixlab.stages.pages import _describe_making


def name_source(name: str, key: str | None) -> ShownSource:
    return ShownSource(name=name, licence="mit", permission="allowed", source=key)


def test_two_parts_of_a_source_are_one_and_a_source_of_no_mixture_is_none() -> None:
    named = (("web/math", "aa"), ("web/code", "aa"), ("books", "bb"), ("unused", "cc"), ("old", None))
    mixture = {"label": "m", "key": "dd", "purposes": ("ipt",), "tokenizer": "t", "tokenizer_key": "ee"}
    drawn = ShownMixture(**mixture, sources=("books", "web/math", "web/code", "old"))
    shown = DataShown(mixtures=(drawn,), sources=tuple(name_source(*one) for one in named))
    assert list_sources(shown, [drawn]) == ["aa", "bb"]


def test_benchmarks_behind_a_mixture_are_not_what_it_is_drawn_from() -> None:
    plan = build_plan(REPOSITORY, ["real_small"], check_files=False).plan
    (report,) = [node.spec for node in plan.nodes.values() if isinstance(node.spec, ReportSpec)]
    shown = report.report.data
    assert shown is not None and len(shown.mixtures) > 2
    benchmarks = {key for node in plan.nodes.values() for key in node.parents.get("benchmarks", ())}
    for mixture in shown.mixtures:
        behind = {node.key for node in find_ancestors(plan, [mixture.key]) if node.stage == "source"}
        drawn = list_sources(shown, [mixture])
        assert set(drawn) < behind and behind & benchmarks
        assert 0 < len(drawn) <= len(mixture.sources) and not set(drawn) & benchmarks
    spec = plan.nodes[list_sources(shown, shown.mixtures)[0]].spec
    assert isinstance(spec, SourceSpec) and spec.source.origin


def test_files_that_differed_from_a_commit_are_told() -> None:
    told = [_describe_making({"commit": "a" * 40 + mark, "seconds": 3}) for mark in ("", "+changes")]
    assert [one.partition("commit ")[2] for one in told] == ["a" * 12, "a" * 12 + "+changes"]
