"""MT-Bench in English and Japanese, judged three times by a model that rates by a known rule, from responses on."""

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pyarrow.parquet as pq
import pytest
from checkouts import REPOSITORY
from click.testing import Result
from scripted_server import Answer, ScriptedServer, serve

from mixlab.analysis.aggregate import write_aggregate
from mixlab.analysis.cells import read_cells, read_csv
from mixlab.analysis.judge_bias import build_judge_bias, read_judge_bias
from mixlab.analysis.judge_runs import read_judge_runs
from mixlab.artifacts.store import Store
from mixlab.config.analysis import AggregateSettings, ModelEntry, VariantLabel
from mixlab.config.problems import ConfigError, DataError
from mixlab.config.studies import CONFIG as CONFIG_FILE
from mixlab.generation.responses import Response, write_response_files
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node
from mixlab.plan.planfile import render_plan, write_plan
from mixlab.plan.specs import ScoresSpec
from mixlab.report.judges import build_judge_runs_table, build_judge_tables
from mixlab.report.numbers import Numbers
from mixlab.stages.doorway import make_artifacts

Invoke = Callable[..., Result]

SECRET = "sk-planted-9876543210"
JUDGE = "tiny (temperature 0, seed 0)"
BENCHMARKS = ("mt_bench_en", "mt_bench_ja")
ITEMS, TURNS, RUNS = 10, 2, 3


def name_answer(model: int, benchmark: int, item: int, turn: int) -> int:
    """The number of an answer; both models say the same about item 3."""
    return ((0 if item == 3 else model) * 2 + benchmark) * 100 + item * 10 + turn


def rate(number: int, run: int) -> int | None:
    """The known rule: judge run 2 finds no words for some."""
    return None if number % 17 == 0 and run == 2 else 1 + (number * 7 + run * 3) % 10


def script(question: str, count: int) -> Answer:
    """What is asked for the n-th time is asked by judge run n: no attempt is repeated."""
    rating = rate(int(question), count)
    return Answer("I cannot say." if rating is None else f"So. Rating: [[{rating}]]")


def write_study(root: Path, shared: Path, server: ScriptedServer) -> None:
    (root / "studies").mkdir(parents=True)
    shutil.copy2(REPOSITORY / "sources.lock", root)
    text = (REPOSITORY / "studies/real_small.yaml").read_text("utf-8")
    kept = [line for line in text.splitlines() if not line.startswith(("  gsm8k: {", "  mgsm_ja: {", "  humaneval: {"))]
    kept = [line for line in kept if not line.startswith("  jhumaneval: {")]
    text = "\n".join(kept).replace("seeds:\n", "seeds:\n  judge_run: [1, 2, 3]\n")
    judge = "{engine: openai, model: tiny, endpoint: local, max_tokens: 100, attempts: 1}"
    (root / "studies/real_small.yaml").write_text(f"{text}\njudge: {judge}\n", "utf-8")
    endpoint = f"{{url: '{server.url}', timeout_seconds: 5, max_retries: 1, api_key_env: TEST_JUDGE_KEY}}"
    (root / CONFIG_FILE).write_text(
        f"study: real_small\nmachine:\n  data_roots: {{shared: '{shared}', stdlib: 'sysconfig:stdlib'}}\n"
        f"  endpoints:\n    local: {endpoint}\n"
        "  judging:\n    budget: {max_calls: 1000, max_cost: 5}\n    prices:\n      tiny: "
        "{prompt_per_million: 100, response_per_million: 400, date: 2026-01-01, source: invented}\n".replace(
            "2026-01-01", "'2026-01-01'"
        )
    )


class Chain:
    """The plan of the study, and two of its models with answers that are written by hand."""

    def __init__(self, root: Path) -> None:
        self.store, self.planned = Store(root), build_plan(root, ["real_small"], check_files=False)
        plan = self.planned.plan
        self.file = write_plan(self.store, render_plan(plan, self.planned.config.machine, self.planned.files))
        self.scores = plan.by_stage("scores")[:2]
        for model, scores in enumerate(self.scores):
            for judge in self.judged(scores)[::RUNS]:
                (responses,) = judge.parents["responses"]
                self.write_answers(plan.nodes[responses], model, self.benchmark(judge))
        sources = {judge.parents["items"][0] for judge in self.judged(self.scores[0])}
        self.make("source", sorted(sources))

    def judged(self, scores: Node) -> list[Node]:
        return [self.planned.plan.nodes[key] for key in scores.parents["results"]]

    def benchmark(self, judge: Node) -> int:
        return next(at for at, name in enumerate(BENCHMARKS) if f"/{name}/" in judge.label)

    def write_answers(self, node: Node, model: int, benchmark: int) -> None:
        name = ("mt_bench_en/question.jsonl", "mt_bench_ja/question_full.jsonl")[benchmark]
        path = Path(self.planned.config.machine.data_roots["shared"]) / "benchmarks" / name
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()[:ITEMS]]
        with self.store.writing(node.stage, node.key) as draft:
            assert draft is not None
            answers = []
            for item, row in enumerate(rows):
                texts = [f"Answer: dialogue {name_answer(model, benchmark, item, turn)}" for turn in range(TURNS)]
                ends = ["length" if item == 0 else "stop"] * TURNS
                turns = list(row["turns"])
                answers.append(Response(str(row["question_id"]), turns, responses=texts, finish_reasons=ends))
            write_response_files(answers, draft.out)
            draft.publish(to_plain(node.spec), {role: list(keys) for role, keys in node.parents.items()})

    def make(self, stage: str, keys: list[str]) -> None:
        make_artifacts(stage, importlib.import_module(f"mixlab.stages.{stage}").run, self.file, keys, self.store)

    def make_scores(self) -> list[Path]:
        for scores in self.scores:
            self.make("judge", [judge.key for judge in self.judged(scores)])
        self.make("scores", [scores.key for scores in self.scores])
        return [self.store.folder("scores", scores.key) for scores in self.scores]


@pytest.fixture
def server() -> object:
    with serve(script) as running:
        yield running


@pytest.fixture
def chain(tmp_path: Path, shared_data: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Chain:
    root = tmp_path / "study"
    write_study(root, shared_data, server)
    monkeypatch.chdir(root)
    monkeypatch.setenv("TEST_JUDGE_KEY", SECRET)
    return Chain(root)


def aggregate(chain: Chain, folders: list[Path], out: Path) -> Path:
    """The study's tables of the two models alone, with a report."""
    entries = []
    for position, scores in enumerate(chain.scores):
        assert isinstance(scores.spec, ScoresSpec)
        entries.append(ModelEntry(position=position, **scores.spec.scores.model.model_dump()))
    certificates = {}
    for mixture in chain.planned.plan.by_stage("mixture"):
        (out / "given" / mixture.key).mkdir(parents=True)
        (out / "given" / mixture.key / "certificate.json").write_text("{}")
        certificates[mixture.key] = out / "given" / mixture.key
    (out / "aggregate").mkdir()
    write_aggregate(AggregateSettings(models=tuple(entries)), folders, certificates, out / "aggregate")
    return out / "aggregate"


def expected(model: int, benchmark: int, run: int) -> list[float | None]:
    """The ratings of one judge run, item by item and turn by turn."""
    return [rate(name_answer(model, benchmark, item, turn), run) for item in range(ITEMS) for turn in range(TURNS)]


def mean_of_items(ratings: list[list[float | None]]) -> float:
    """An item counts once: the mean over items of the mean of all its ratings, those that cannot be read left out."""
    items = []
    for item in range(ITEMS):
        known = [one for run in ratings for one in run[item * TURNS : item * TURNS + TURNS] if one is not None]
        items.append(mean(known))
    return mean(items)


@pytest.mark.shared
def test_means_spread_and_counts_are_those_computed_by_hand(
    chain: Chain, server: ScriptedServer, invoke: Invoke, tmp_path: Path
) -> None:
    before = json.loads(invoke("judge", "cost", "--json").output)
    tables = aggregate(chain, chain.make_scores(), tmp_path)
    # items of one benchmark that both models answer alike are judged once in each run
    distinct = 2 * len(BENCHMARKS) * ITEMS * TURNS - len(BENCHMARKS) * TURNS
    assert sum(server.asked.values()) == distinct * RUNS
    runs = {
        (row["variant_key"], row["stage"], row["benchmark"], int(row["judge_run"])): row
        for row in read_csv(tables / "judge_runs.csv")
    }
    cells = {(row["variant_key"], row["stage"], row["benchmark"]): row for row in read_csv(tables / "cells.csv")}
    assert len(runs) == 2 * len(BENCHMARKS) * RUNS
    for model, scores in enumerate(chain.scores):
        assert isinstance(scores.spec, ScoresSpec)
        identity = (scores.spec.scores.model.variant_key, scores.spec.scores.model.stage)
        for at, benchmark in enumerate(BENCHMARKS):
            ratings = [expected(model, at, run) for run in (1, 2, 3)]
            for run, given in enumerate(ratings, start=1):
                row = runs[(*identity, benchmark, run)]
                assert float(row["mean"]) == pytest.approx(mean_of_items([given]))
                assert (int(row["n_read"]), int(row["n_verdicts"])) == (20 - given.count(None), 20)
                assert row["judge"] == JUDGE
            cell = cells[(*identity, benchmark)]
            assert float(cell["mean"]) == pytest.approx(mean_of_items(ratings))
            assert int(cell["n_unparsed"]) == ratings[1].count(None)
            assert (int(cell["n_items"]), int(cell["n_answers"])) == (ITEMS, ITEMS * TURNS * RUNS)
    assert sum(int(row["n_unparsed"]) for row in cells.values()) > 0
    check_report(chain, tables)
    check_bias(chain, tables)
    check_money(chain, before, invoke, server)


def check_bias(chain: Chain, tables: Path) -> None:
    """Answers that both models give count once; had the two been two points tuned, and the first the judge's own."""
    figures = {(one.benchmark, one.figure): one for one in read_judge_bias(tables)}
    assert "self_preference" not in {figure for _, figure in figures}
    frame = pq.read_table(tables / "scores.parquet").to_pandas()
    first = frame["model_key"] == chain.planned.plan.nodes[chain.scores[0].parents["responses"][0]].parents["model"][0]
    assert 0 < first.sum() < len(frame)
    by_name = frame.assign(variant_key=first.map({True: "own", False: "other"}), stage="after_sft")
    apart_by_name = build_judge_bias(by_name, [("own", "after_sft")])
    figures |= {(one.benchmark, one.figure): one for one in apart_by_name if one.figure == "self_preference"}
    for at, benchmark in enumerate(BENCHMARKS):
        numbers = {name_answer(model, at, item, turn) for model in (0, 1) for item in range(ITEMS) for turn in (0, 1)}
        given = [[rate(number, run) for run in (1, 2, 3)] for number in sorted(numbers)]
        whole = [[one for one in runs if one is not None] for runs in given if None not in runs]
        spread, differing = figures[benchmark, "spread"], figures[benchmark, "differing"]
        assert spread.value == pytest.approx(mean(stdev(runs) ** 2 for runs in whole) ** 0.5, abs=1e-6)
        assert differing.value == pytest.approx(mean(len(set(runs)) > 1 for runs in whole), abs=1e-6)
        assert (spread.n, spread.of) == (len(whole), len(numbers)) == (differing.n, 2 * ITEMS * TURNS - TURNS)
        unread = figures[benchmark, "unread"]
        assert (unread.n, unread.of) == (sum(runs.count(None) for runs in given), RUNS * len(numbers))
        length, truncated = figures[benchmark, "length"], figures[benchmark, "truncated"]
        texts = [len(f"Answer: dialogue {number}") for number in sorted(numbers)]
        ratings = [mean(one for one in runs if one is not None) for runs in given]
        if benchmark == "mt_bench_ja":
            assert (set(map(len, map(str, numbers))), length.note) == ({3}, "all lengths are equal")
        else:
            ranks = [pd.Series(one).rank() for one in (texts, ratings)]
            assert length.value == pytest.approx(float(ranks[0].corr(ranks[1])), abs=1e-6)
        assert (length.n, length.of, length.n_items) == (len(numbers), len(numbers), ITEMS)
        assert (truncated.n, truncated.of) == (2 * TURNS, len(numbers))
        own = figures[benchmark, "self_preference"]
        apart = [mean_of_items([expected(model, at, run) for run in (1, 2, 3)]) for model in (0, 1)]
        assert own.value == pytest.approx(apart[0] - apart[1], abs=1e-6)
        assert own.low is not None and own.high is not None and own.low <= own.value <= own.high
        assert (own.n, own.of) == (ITEMS, ITEMS)


def check_report(chain: Chain, tables: Path) -> None:
    models = [scores.spec.scores.model for scores in chain.scores if isinstance(scores.spec, ScoresSpec)]
    labels = tuple(VariantLabel(label=key, variant_key=key) for key in dict.fromkeys(one.variant_key for one in models))
    numbers = Numbers(
        variants=labels,
        groups=(),
        cells=tuple(read_cells(tables)),
        effects={},
        unsolvable=[],
        certificates={},
        lineage={},
        source_names={},
        judge_runs=tuple(read_judge_runs(tables)),
    )
    table = build_judge_runs_table(numbers)
    assert table is not None
    rows = [dict(zip(table.header, record, strict=True)) for record in table.records]
    wanted = (models[1].variant_key, models[1].stage, "mt_bench_ja")
    at, row = next(
        (at, row) for at, row in enumerate(rows) if (row["variant_key"], row["stage"], row["benchmark"]) == wanted
    )
    means = [mean_of_items([expected(1, 1, run)]) for run in (1, 2, 3)]
    assert (row["mean"], row["spread"]) == (pytest.approx(mean(means)), pytest.approx(stdev(means)))
    unread = expected(1, 1, 2).count(None)
    assert unread > 0
    assert f"{60 - unread} of 60" in [shown.text for shown in table.rows[at]]
    (judged,) = build_judge_tables(numbers)
    assert judged.title == f"Scores from 1 to 10 by: {JUDGE}"
    assert f"{240 - sum(cell.n_unparsed for cell in numbers.cells)} of 240 verdicts" in judged.note


def check_money(chain: Chain, before: list[dict[str, object]], invoke: Invoke, server: ScriptedServer) -> None:
    """The estimate was a bound for all models; the store counted every call, with what the server said it took."""
    (line,) = before
    judgings = len(chain.planned.plan.by_stage("judge"))
    assert judgings > len(chain.scores) * len(BENCHMARKS) * RUNS
    assert (line["verdicts"], line["is_exact"], line["unknown"]) == (judgings * ITEMS * TURNS, False, 0)
    # what both models say alike is asked once in each run
    assert line["to_ask"] == judgings * ITEMS * TURNS - len(BENCHMARKS) * TURNS * RUNS
    (spent,) = json.loads(invoke("judge", "spent", "--json").output)["spent"]
    calls = sum(server.asked.values())
    assert (spent["study"], spent["model"], spent["calls"], spent["replies"]) == ("real_small", "tiny", calls, calls)
    assert spent["cost"] == pytest.approx(calls * (10 * 100 + 3 * 400) / 1e6)
    assert float(str(line["max_cost"])) > spent["cost"]
    made = len(chain.scores) * len(BENCHMARKS) * RUNS
    told = invoke("judge", "cost").output
    assert f"up to {(judgings - made) * ITEMS * TURNS} " in told
    assert "tiny: 100 and 400 USD a million tokens of prompts and replies on 2026-01-01 (invented)" in told
    assert f" {calls} " in invoke("judge", "spent").output
    check_actual(made, calls, invoke)


def check_actual(made: int, calls: int, invoke: Invoke) -> None:
    """`price --actual` has what the verdicts took, beside the bound and what the store of verdicts counts."""
    told = json.loads(invoke("price", "--actual", "--json").stdout)["judging"]
    (line,) = told["judges"]
    assert (line["study"], line["stage"], line["judge"], line["model"]) == ("real_small", "judge", JUDGE, "tiny")
    assert (line["verdicts"], line["distinct_verdicts"], line["calls"]) == (made * ITEMS * TURNS, calls, calls)
    assert line["distinct_verdicts"] < line["verdicts"]  # both models say the same about item 3
    assert (line["prompt_tokens"], line["reply_tokens"]) == (10 * calls, 3 * calls)
    # what is in the store by now is predicted all the same
    assert (line["predicted"]["to_ask"], line["predicted"]["is_exact"]) == (made * ITEMS * TURNS, False)
    (spent,) = told["spent"]
    assert (spent["study"], spent["calls"], spent["prompt_tokens"]) == ("real_small", calls, 10 * calls)
    assert spent["cost"] == pytest.approx(calls * (10 * 100 + 3 * 400) / 1e6)
    assert spent["cost"] < line["max_cost"]
    said = invoke("price", "--actual").stdout
    cost = f"{spent['cost']:.4f} USD"
    tokens = f"{10 * calls} prompt and {3 * calls} reply tokens"
    assert f"spent by 'real_small' on tiny, ever: {calls} calls, {calls} replies, {tokens}, {cost}" in said
    assert f"up to {made * ITEMS * TURNS}" in said


@pytest.mark.shared
def test_the_key_of_the_environment_is_in_no_file_of_the_study(chain: Chain, server: ScriptedServer) -> None:
    chain.make("judge", [judge.key for judge in chain.judged(chain.scores[0])[:2]])
    assert server.keys == {f"Bearer {SECRET}"}
    files = [path for path in chain.store.root.rglob("*") if path.is_file()]
    assert {"judge.sqlite", "manifest.json", "verdicts.jsonl"} <= {path.name for path in files}
    assert [str(path) for path in files if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.shared
def test_a_cap_stops_the_job_with_a_list_and_a_higher_one_goes_on(
    chain: Chain, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = chain.store.root / CONFIG_FILE
    text = config.read_text()
    config.write_text(text.replace("max_calls: 1000", "max_calls: 7"))
    capped = Chain.__new__(Chain)
    capped.store, capped.planned = chain.store, build_plan(chain.store.root, ["real_small"], check_files=False)
    rendered = render_plan(capped.planned.plan, capped.planned.config.machine, capped.planned.files)
    capped.file = write_plan(chain.store, rendered)
    (first, *_) = chain.judged(chain.scores[0])
    with pytest.raises(DataError, match=r"13 of 20 verdicts are left undone.*undone\.jsonl.*over the budget"):
        capped.make("judge", [first.key])
    listed = chain.store.work / "judge" / first.key / "resume" / "undone.jsonl"
    assert (server.asked.total(), len(listed.read_text().splitlines())) == (7, 13)
    chain.make("judge", [first.key])
    assert server.asked.total() == 20
    assert not listed.exists()


@pytest.mark.shared
def test_what_a_machine_lacks_is_told_before_anything_is_asked(
    chain: Chain, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, *_) = chain.judged(chain.scores[0])
    monkeypatch.delenv("TEST_JUDGE_KEY")
    with pytest.raises(ConfigError, match="the environment variable TEST_JUDGE_KEY is not set"):
        chain.make("judge", [first.key])
    config = chain.store.root / CONFIG_FILE
    config.write_text(config.read_text().replace("      tiny:", "      teeny:"))
    planned: Planned = build_plan(chain.store.root, ["real_small"], check_files=False)
    chain.file = write_plan(chain.store, render_plan(planned.plan, planned.config.machine, planned.files))
    with pytest.raises(ConfigError, match=r"max_cost is set, but 'tiny' has no price.*machine.judging.prices"):
        chain.make("judge", [first.key])
    assert server.asked.total() == 0
