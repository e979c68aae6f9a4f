"""Pairwise judging in a study: its plan, what a judge with a known rule and a known bias makes of it, mistakes."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import pytest
from click.testing import Result
from editing import STUDY, replace
from scripted_server import Answer, ScriptedServer, serve

from mixlab.analysis.pairwise import PairCell, PairRow, build_pair_cells, read_pair_rows
from mixlab.artifacts.store import Store
from mixlab.config.problems import ConfigError
from mixlab.generation.responses import Response, write_response_files
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node
from mixlab.plan.planfile import render_plan, write_plan
from mixlab.plan.specs import AggregateSpec, JudgePairsSpec
from mixlab.stages import judge_pairs, source
from mixlab.stages.doorway import main

Invoke = Callable[..., Result]

JUDGE = "\njudge: {engine: openai, model: tiny, endpoint: local, max_tokens: 100, attempts: 1}\n"
SERVED = "served_models: {own: {endpoint: local, model: tiny}}\n"
PAIRWISE = "pairwise: {comparisons: [{against: even}]}\n"
ITEMS, TURNS, RUNS = 4, 2, (1, 2)
MODELS = {"even": 0, "math heavy 数学": 3, "own": 6}
"""Label -> what distinguishes its answers; those of SFT seed 2 are 1 more."""


def name_answer(model: int, item: int, turn: int) -> int:
    """The number of an answer; all models say the same in the first turn of item 0."""
    return 100 if item == turn == 0 else 100 + (model * model * 7 + item * 5 * (model + 1) + turn * 2) % 11


def verdict(first: int, second: int, run: int) -> str | None:
    """The known rule: the larger wins; equals tie; of neighbours the one shown first wins: a bias of place.

    Judge run 2 finds no words where the two sum up to a multiple of 7.
    """
    if run == 2 and (first + second) % 7 == 0:
        return None
    if first == second:
        return "C"
    return "A" if first - second >= -1 else "B"


def script(question: str, count: int) -> Answer:
    """What is asked for the n-th time is asked by judge run n: no attempt is repeated."""
    first, second = (int(number) for number in question.split(">")[:2])
    said = verdict(first, second, count)
    return Answer("I cannot say." if said is None else f"So: [[{said}]]")


def find_answers(said: str) -> str:
    """Both answers in the order in which they are shown, and the dialogue they stand in: `103>108>digits`."""
    shown = [re.search(rf"<answer_{side}>\nnumber (\d+)", said) for side in "ab"]
    dialogue = hash(said.replace("\n", " "))
    return ">".join([*(found[1] for found in shown if found), str(dialogue)])


@pytest.fixture
def server() -> object:
    with serve(script, find=find_answers) as running:
        yield running


@pytest.fixture
def study(micro: Path, server: ScriptedServer) -> Path:
    append_study(micro, JUDGE + SERVED + PAIRWISE)
    endpoint = f"  endpoints: {{local: {{url: '{server.url}', timeout_seconds: 5, max_retries: 1}}}}\n"
    with (micro / "config.yaml").open("a", encoding="utf-8") as stream:
        stream.write(endpoint)
    return micro


def append_study(root: Path, text: str) -> None:
    with (root / STUDY).open("a", encoding="utf-8") as stream:
        stream.write(text)


@dataclass
class Chain:
    """The planned study with answers written by hand for each model that is compared."""

    root: Path
    planned: Planned
    file: Path

    @property
    def store(self) -> Store:
        return Store(self.root)

    @property
    def pairs(self) -> list[Node]:
        return self.planned.plan.by_stage("judge_pairs")

    def make(self) -> None:
        """Judge all pairs, each group in one process as its job would."""
        for group in dict.fromkeys(node.group for node in self.pairs):
            keys = [node.key for node in self.pairs if node.group == group]
            main("judge_pairs", judge_pairs.run, ["--plan", str(self.file), "--key", *keys])

    def rows(self) -> list[PairRow]:
        (spec,) = (node.spec for node in self.planned.plan.by_stage("aggregate"))
        assert isinstance(spec, AggregateSpec)
        (node,) = self.planned.plan.by_stage("aggregate")
        folders = {key: self.store.open("judge_pairs", key) for key in node.parents["pairs"]}
        return read_pair_rows(spec.aggregate.pairs, folders)

    def cells(self) -> dict[str, PairCell]:
        labels = {self.key_of(label): label for label in MODELS}
        return {labels[cell.variant_key]: cell for cell in build_pair_cells(self.rows()) if not cell.category}

    def key_of(self, label: str) -> str:
        nodes = self.planned.plan.by_stage("scores")
        found = {node.spec.scores.model.variant_key for node in nodes if f"/{label}" in node.label}  # type: ignore[attr-defined]
        return str(*found)

    def write_answers(self) -> None:
        (items,) = {node.parents["items"] for node in self.pairs}
        main("source", source.run, ["--plan", str(self.file), "--key", *items])
        rows = (self.store.open("source", items[0]) / "records.jsonl").read_text("utf-8").splitlines()
        names = [json.loads(row)["id"] for row in rows]
        assert len(names) == ITEMS
        for key in dict.fromkeys(key for node in self.pairs for key in read_responses_of(node)):
            node = self.planned.plan.nodes[key]
            (model,) = (number for label, number in MODELS.items() if f"/{label}/" in f"{node.label}/")
            model += "sft_seed 2" in node.label
            answers = [
                Response(name, ["q"] * TURNS, responses=[f"number {name_answer(model, at, turn)}" for turn in (0, 1)])
                for at, name in enumerate(names)
            ]
            with self.store.writing(node.stage, node.key) as draft:
                if draft is not None:
                    write_response_files(answers, draft.out)
                    draft.publish(to_plain(node.spec), {role: list(keys) for role, keys in node.parents.items()})


def read_responses_of(node: Node) -> list[str]:
    return [*node.parents["responses_a"], *node.parents["responses_b"]]


def open_chain(root: Path) -> Chain:
    planned = build_plan(root, ["micro"], check_files=False)
    return Chain(
        root, planned, write_plan(Store(root), render_plan(planned.plan, planned.config.machine, planned.files))
    )


@pytest.fixture
def chain(study: Path) -> Chain:
    chain = open_chain(study)
    chain.write_answers()
    return chain


Outcome = tuple[float | None, bool, bool]
"""By hand: points of the variant, whether the orders disagree, whether nobody was asked."""


def expect(variant: int, against: int, item: int, turn: int, run: int) -> Outcome:
    said = [[name_answer(model, item, earlier) for earlier in range(turn + 1)] for model in (variant, against)]
    if said[0] == said[1]:
        return 0.5, False, True
    ours, theirs = said[0][-1], said[1][-1]
    first, second = verdict(ours, theirs, run), verdict(theirs, ours, run)
    if first is None or second is None:
        return None, False, False
    if (first, second) in {("A", "B"), ("B", "A"), ("C", "C")}:
        return {"A": 1.0, "B": 0.0, "C": 0.5}[first], False, False
    return 0.5, True, False


def expect_all(label: str) -> dict[tuple[int, int, int, int], Outcome]:
    """SFT seed, run, item, turn -> what must come of it; a served model has no seed and meets both."""
    return {
        (seed, run, item, turn): expect(
            MODELS[label] + (seed == 2 and label != "own"), MODELS["even"] + (seed == 2), item, turn, run
        )
        for seed in (1, 2)
        for run in RUNS
        for item in range(ITEMS)
        for turn in range(TURNS)
    }


def mean_of_items(outcomes: dict[tuple[int, int, int, int], Outcome], seed: int, runs: tuple[int, ...]) -> float:
    found = []
    for item in range(ITEMS):
        points = [outcomes[seed, run, item, turn][0] for run in runs for turn in range(TURNS)]
        known = [one for one in points if one is not None]
        found += [mean(known)] if known else []
    return mean(found)


def test_wins_ties_flips_and_rates_are_those_computed_by_hand(chain: Chain) -> None:
    chain.make()
    cells = chain.cells()
    check_cell(cells["math heavy 数学"], expect_all("math heavy 数学"))
    check_cell(cells["own"], expect_all("own"))
    # a model that answers under the judge's own name is marked
    assert (cells["math heavy 数学"].own, cells["own"].own) == ("", "variant")


def check_cell(cell: PairCell, outcomes: dict[tuple[int, int, int, int], Outcome]) -> None:
    points = [one for one, _, _ in outcomes.values()]
    counted = (cell.wins, cell.ties, cell.losses, cell.unparsed, cell.comparisons)
    assert counted == (*(points.count(value) for value in (1.0, 0.5, 0.0, None)), 32)
    assert min(counted) > 0
    flips = sum(flipped for _, flipped, _ in outcomes.values())
    # the judge favours the first place and never the second
    assert (cell.flipped, cell.flipped_to_first) == (flips, flips)
    assert flips > 0
    assert cell.identical == sum(identical for _, _, identical in outcomes.values()) > 0
    by_seed = [mean_of_items(outcomes, seed, RUNS) for seed in (1, 2)]
    assert cell.win_rate == pytest.approx(mean(by_seed))
    assert cell.se_seeds == pytest.approx(stdev(by_seed) / 2**0.5)
    runs = [mean(mean_of_items(outcomes, seed, (run,)) for seed in (1, 2)) for run in RUNS]
    assert (cell.spread, cell.n_runs, cell.n_pairs) == (pytest.approx(stdev(runs)), 2, 2)
    assert cell.low is not None and cell.high is not None and cell.win_rate is not None
    assert 0 <= cell.low < cell.win_rate < cell.high <= 1


def test_nothing_is_asked_twice_whether_a_result_is_lost_or_the_study_swaps_its_models(
    chain: Chain, server: ScriptedServer
) -> None:
    assert len(chain.pairs) == 2 * 2 * len(RUNS)
    chain.make()
    asked = server.asked.total()
    verdicts = {
        name
        for node in chain.pairs
        for line in (chain.store.open("judge_pairs", node.key) / "comparisons.jsonl").read_text().splitlines()
        for name in json.loads(line)["verdict_ids"]
    }
    assert asked == len(verdicts) > 0
    lost = chain.store.folder("judge_pairs", chain.pairs[0].key)
    kept = (lost / "comparisons.jsonl").read_bytes()
    for path in [*lost.iterdir(), lost]:
        path.chmod(0o755)
    for path in lost.iterdir():
        path.unlink()
    lost.rmdir()
    chain.make()
    assert (lost / "comparisons.jsonl").read_bytes() == kept
    before = chain.cells()["math heavy 数学"]
    swapped = "pairwise: {comparisons: [{variant: even, against: math heavy 数学}]}\n"
    replace(STUDY, PAIRWISE, swapped)(chain.root)
    turned = open_chain(chain.root)
    assert {node.key for node in turned.pairs} < {node.key for node in chain.pairs}
    turned.make()
    after = turned.cells()["even"]
    assert (after.wins, after.losses, after.ties) == (before.losses, before.wins, before.ties)
    assert after.win_rate == pytest.approx(1 - (before.win_rate or 0))
    assert server.asked.total() == asked


def test_the_estimate_counts_two_orders_of_each_turn_and_exactly_what_is_left(chain: Chain, invoke: Invoke) -> None:
    def estimate() -> dict[str, object]:
        (line,) = (one for one in json.loads(invoke("judge", "cost", "--json").output) if one["pairwise"])
        return line

    before = estimate()
    identical = sum(one[2] for label in MODELS if label != "even" for one in expect_all(label).values())
    wanted = 2 * (2 * 32 - identical)
    assert (before["verdicts"], before["is_exact"], before["judge"]) == (wanted, True, "tiny (temperature 0, seed 0)")
    assert "tiny (temperature 0, seed 0), pairwise" in invoke("judge", "cost").output
    main("judge_pairs", judge_pairs.run, ["--plan", str(chain.file), "--key", chain.pairs[0].key])
    after = estimate()
    made = json.loads((chain.store.open("judge_pairs", chain.pairs[0].key) / "index.json").read_text())
    assert after["verdicts"] == wanted - made["verdicts"]
    # another pair that shows the same two answers to the same question asks nothing more, before and after
    assert int(str(before["to_ask"])) < int(str(before["verdicts"]))
    assert 0 < int(str(after["to_ask"])) == int(str(before["to_ask"])) - made["distinct_verdicts"]


def test_before_answers_are_there_every_turn_counts_twice(study: Path, invoke: Invoke) -> None:
    chain = open_chain(study)
    (items,) = {node.parents["items"] for node in chain.pairs}
    main("source", source.run, ["--plan", str(chain.file), "--key", *items])
    (line,) = (one for one in json.loads(invoke("judge", "cost", "--json").output) if one["pairwise"])
    assert (line["verdicts"], line["is_exact"]) == (len(chain.pairs) * ITEMS * TURNS * 2, False)


def test_comparing_moves_no_key_but_those_of_aggregate_and_report(micro: Path) -> None:
    append_study(micro, JUDGE + SERVED)
    before = build_plan(micro).plan
    append_study(micro, PAIRWISE)
    plan = build_plan(micro).plan
    new = Counter(node.stage for key, node in plan.nodes.items() if key not in before.nodes)
    assert new == {"judge_pairs": 8, "aggregate": 1, "report": 1}
    replace(STUDY, PAIRWISE, "pairwise: {comparisons: [{against: even, benchmarks: [demo_dialogue_en]}]}\n")(micro)
    assert build_plan(micro).plan.nodes.keys() == plan.nodes.keys()


def test_models_meet_by_their_seeds_at_the_stage_that_is_asked_for(micro: Path) -> None:
    text = JUDGE + SERVED + PAIRWISE
    append_study(micro, text)
    replace(STUDY, "sft_seed: [1, 2]", "ipt_seed: [1, 2]\n  sft_seed: [1, 2]")(micro)
    plan = build_plan(micro).plan
    assert len(plan.by_stage("judge_pairs")) == 2 * 4 * len(RUNS)
    replace(STUDY, "{against: even}", "{against: even, stage: before_sft, variant: math heavy 数学}")(micro)
    plan = build_plan(micro).plan
    nodes = plan.by_stage("judge_pairs")
    assert len(nodes) == 2 * len(RUNS)
    for node in nodes:
        assert isinstance(node.spec, JudgePairsSpec) and node.spec.judge_run in RUNS
        above = [plan.nodes[key] for key in read_responses_of(node)]
        assert {re.search(r"ipt_seed \d", one.label)[0] for one in above} <= {"ipt_seed 1", "ipt_seed 2"}  # type: ignore[index]
        assert len({re.search(r"ipt_seed \d", one.label)[0] for one in above}) == 1  # type: ignore[index]
        assert not any("sft_seed" in one.label for one in above)


MISTAKES: dict[str, tuple[str, str, str]] = {
    "a rule as the judge": (JUDGE, "\n", "pairwise: the judge is a rule, which rates one answer and compares none"),
    "an unknown point": (
        "{against: even}",
        "{against: evn}",
        "pairwise.comparisons[0].against: no variant or served model is named 'evn'; did you mean 'even'?",
    ),
    "an unknown variant": (
        "{against: even}",
        "{against: even, variant: math heavy}",
        "pairwise.comparisons[0].variant: no variant or served model is named 'math heavy'; did you mean 'math heavy",
    ),
    "a point against itself": ("{against: even}", "{against: even, variant: even}", "compares 'even' with itself"),
    "a benchmark that is scored": (
        "{against: even}",
        "{against: even, benchmarks: [demo_math_en]}",
        "comparisons[0].benchmarks[0]: 'demo_math_en' is scored, not judged, so its answers are not compared; judged: "
        "demo_dialogue_en",
    ),
    "an unknown benchmark": (
        "{against: even}",
        "{against: even, benchmarks: [demo_dialog_en]}",
        "comparisons[0].benchmarks[0]: no benchmark is named 'demo_dialog_en'; did you mean 'demo_dialogue_en'?",
    ),
    "a pair twice": (
        "{against: even}",
        "{against: even, variant: own}, {against: own, variant: even}",
        "pairwise.comparisons[1]: compares what comparisons[0] compares",
    ),
    "an unknown stage": ("{against: even}", "{against: even, stage: after}", "pairwise.comparisons[0].stage"),
    "nothing to compare": ("[{against: even}]", "[]", "pairwise.comparisons"),
    "prompts without a place": (
        "[{against: even}]}",
        "[{against: even}], prompts: {en: {system: s, exchange: e, first: f, first_with_reference: f, later: l, "
        "later_with_reference: l}}}",
        "pairwise.prompts.en",
    ),
    "no prompts for a language": (
        "[{against: even}]}",
        "[{against: even}], prompts: {}}",
        "pairwise.prompts: there are no prompts for 'en', the language of a judged benchmark",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_compared_is_told_while_planning(name: str, micro: Path, invoke: Invoke) -> None:
    append_study(micro, JUDGE + SERVED + PAIRWISE)
    old, new, told = MISTAKES[name]
    replace(STUDY, old, new)(micro)
    result = invoke("plan")
    assert result.exit_code == 2
    assert told in result.stderr and f"{STUDY}:" in result.stderr


def test_all_mistakes_are_told_at_once(micro: Path, invoke: Invoke) -> None:
    append_study(micro, "\npairwise: {comparisons: [{against: evn}, {against: even, benchmarks: [none]}]}\n")
    told = invoke("plan").stderr
    assert "the judge is a rule" in told and "did you mean 'even'?" in told and "no benchmark is named 'none'" in told


def test_two_labels_of_one_point_are_nothing_to_compare(micro: Path) -> None:
    append_study(micro, JUDGE + "pairwise: {comparisons: [{variant: same, against: even}]}\n")
    copy = "  same:\n    instruction: 1/2\n    category: {weights: {math: 1, reasoning: 1}}\n"
    replace(STUDY, "variants:\n", f"variants:\n{copy}")(micro)
    with pytest.raises(ConfigError, match=r"comparisons\[0\]: no model is left to be compared with 'even'"):
        build_plan(micro)
