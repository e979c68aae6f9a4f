"""What benchmarks ask and judges rate, counted before anything runs: items, prompts, verdicts, tokens.

Items of a source that is not here yet are built in a temporary folder, as the stage would build them: their number is
exact. A data set of the hub is read only once it is here.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.config.judging import ModelJudgeSettings, RuleJudgeSettings
from mixlab.config.origins import FilesOrigin, HubOrigin
from mixlab.config.problems import DataError
from mixlab.config.sources import SourceSettings
from mixlab.data.records import Record
from mixlab.data.sources.source import build_source, open_source
from mixlab.evaluation.judges.estimate import JudgeWork, estimate_items, estimate_prompts, estimate_text_tokens
from mixlab.evaluation.judges.questions import rating_form
from mixlab.evaluation.judges.store import VerdictStore
from mixlab.evaluation.judging import render_prompts
from mixlab.evaluation.scorers.score import read_texts
from mixlab.evaluation.scoring import pair_responses
from mixlab.generation import prompts
from mixlab.generation.lm_eval_tasks import list_questions
from mixlab.generation.responses import Response, read_responses
from mixlab.plan import specs
from mixlab.plan.asked import Asked
from mixlab.plan.build import Planned
from mixlab.plan.graph import Node
from mixlab.plan.specs import GenerateSpec, JudgePairsSpec, JudgeSpec
from mixlab.stages.places import STORE

LARGEST_BYTES = 256 * 1024**2
"""A benchmark's files that are larger are not read before their source is made."""


@dataclass
class Counter:
    """Counts for the nodes of a plan, each benchmark read once; `complete` is what counts as made."""

    planned: Planned
    store: Store
    complete: frozenset[Name]
    verdicts: VerdictStore
    faults: dict[str, str] = field(default_factory=dict)
    """Label of a benchmark's source -> why its items cannot be asked; what they would take is not known."""
    _items: dict[str, Sequence[Record] | None] = field(default_factory=dict)
    _asked: dict[tuple[Any, ...], Asked | None] = field(default_factory=dict)
    _work: dict[tuple[Any, ...], JudgeWork | None] = field(default_factory=dict)

    def count_items(self, node: Node) -> int | None:
        """Count the items that a node of stage generate asks; None where they are not here."""
        asked = self.count_asked(node)
        return None if asked is None else asked.items

    def count_asked(self, node: Node) -> Asked | None:
        """Count what a node of stage generate asks; None where its items are not here."""
        if not isinstance(node.spec, GenerateSpec):
            raise TypeError(f"expected a node of stage generate, got {node.stage}")
        name = (id(node.spec), node.parents["items"], node.parents.get("examples"))
        if name not in self._asked:
            try:
                self._asked[name] = self._count_asked(node, node.spec)
            except DataError as error:
                self._note(node.parents["items"][0], error)
                self._asked[name] = None
        return self._asked[name]

    def estimate_judging(self, node: Node, counted: set[bytes]) -> JudgeWork | None:
        """Estimate what a model judge is asked; None where the items are not here.

        Where responses are here, exactly what is neither in the store of verdicts nor among the questions `counted` is
        to be asked, and is added to these; elsewhere all of it.
        """
        spec = node.spec
        if not isinstance(spec, JudgeSpec | JudgePairsSpec) or isinstance(spec.judge, RuleJudgeSettings):
            raise TypeError(f"expected a node that a model judges, got {node.stage} {node.key}")
        answers = self._answers(node)
        if all(one.name in self.complete for one in answers):
            return self._estimate_exactly(node, spec, answers, counted)
        generates = [one.spec for one in answers if isinstance(one.spec, GenerateSpec)]
        tokens = sum(one.prompt.sampling.max_new_tokens for one in generates)
        limit = generates[0].prompt.limit
        name = (id(spec), node.parents["items"], limit, tokens)
        if name not in self._work:
            self._work[name] = self._estimate_blank(node, spec, limit, tokens)
        return self._work[name]

    def count_verdicts(self, node: Node) -> int | None:
        """Count what any judge, a rule as well, rates or compares; None where the items are not here."""
        spec = node.spec
        if not isinstance(spec, JudgeSpec) or not isinstance(spec.judge, RuleJudgeSettings):
            work = self.estimate_judging(node, set())
            return None if work is None else work.verdicts
        (answers,) = self._answers(node)
        limit = answers.spec.prompt.limit if isinstance(answers.spec, GenerateSpec) else None
        name = (id(spec), node.parents["items"], limit)
        if name not in self._work:
            rows = self._read_items(node)
            judge = spec.judge
            blank = None if rows is None else (_leave_blank(one) for one in islice(rows, limit))
            count = None if blank is None else sum(1 for pair in blank for _ in render_prompts(judge, pair))
            self._work[name] = None if count is None else JudgeWork(verdicts=count)
        known = self._work[name]
        return None if known is None else known.verdicts

    def _note(self, items: str, error: DataError) -> None:
        first, *rest = error.problems
        more = f"; and {len(rest)} more problems" if rest else ""
        self.faults[self.planned.plan.nodes[items].label] = f"{first}{more}"

    def _answers(self, node: Node) -> list[Node]:
        return [self.planned.plan.nodes[keys[0]] for role, keys in node.parents.items() if role != "items"]

    def _count_asked(self, node: Node, spec: GenerateSpec) -> Asked | None:
        rows = self._read_items(node)
        examples = self._read_items(node, "examples") if "examples" in node.parents else ()
        if rows is None or examples is None:
            return None
        longest = spec.prompt.sampling.max_new_tokens
        if spec.lm_eval is not None:
            questions = list_questions(spec.lm_eval, list(rows), list(examples), spec.prompt.limit)
            weighed = [pair for one in questions for pair in one.pairs]
            texts = ["".join(pair) for pair in weighed] or [one.context for one in questions]
            tokens = sum(map(estimate_text_tokens, texts))
            return Asked(len(questions), len(texts), tokens, 0 if weighed else len(texts) * longest)
        asked = list(islice(rows, spec.prompt.limit))
        prompts.check_items(spec.prompt, asked, ())
        turns, tokens = 0, 0
        for one in asked:
            said = [estimate_text_tokens(text) for text in prompts.render_turns(spec.prompt, one)]
            # turn t reads the turns before it and their answers too
            shown = sum(sum(said[: turn + 1]) + turn * longest for turn in range(len(said)))
            turns, tokens = turns + len(said), tokens + shown
        samples = spec.prompt.samples
        return Asked(len(asked), turns * samples, tokens * samples, turns * samples * longest)

    def _read_items(self, node: Node, role: str = "items") -> Sequence[Record] | None:
        (key,) = node.parents[role]
        if key not in self._items:
            try:
                self._items[key] = self._read_source(self.planned.plan.nodes[key])
            except DataError as error:
                self._note(key, error)
                self._items[key] = None
        return self._items[key]

    def _read_source(self, node: Node) -> Sequence[Record] | None:
        if not isinstance(node.spec, specs.SourceSpec):
            raise TypeError(f"expected a source, got {node.stage}")
        settings = node.spec.source
        files = self._locate(settings)
        if files is None:
            return None
        if node.name in self.complete:
            return list(open_source(settings, self.store.folder(*node.name), files, 0, None))
        if isinstance(settings.origin, HubOrigin) or sum(path.stat().st_size for _, path in files) > LARGEST_BYTES:
            return None
        with tempfile.TemporaryDirectory(prefix="mixlab-items-") as folder:
            build_source(settings, files, Path(folder))
            return list(open_source(settings, Path(folder), files, 0, None))

    def _locate(self, settings: SourceSettings) -> list[tuple[str, Path]] | None:
        """Pair the digests of a source's files with their paths; None where this machine does not have them."""
        if not isinstance(settings.origin, FilesOrigin):
            return []
        joined = settings.origin.joined.digests if settings.origin.joined is not None else ()
        digests = [*settings.origin.digests, *joined]
        paths = [Path(self.planned.files.get(digest, "")) for digest in digests]
        return list(zip(digests, paths, strict=True)) if all(path.is_file() for path in paths) else None

    def _estimate_blank(
        self, node: Node, spec: JudgeSpec | JudgePairsSpec, limit: int | None, tokens: int
    ) -> JudgeWork | None:
        rows = self._read_items(node)
        if rows is None:
            return None
        if isinstance(spec, JudgePairsSpec):
            # it brings an HTTP client, which most studies do not need
            from mixlab.evaluation.judges.pair_judge import estimate_pairs

            return estimate_pairs(spec.judge, rows[:limit], tokens)
        return estimate_items(_require_model(spec), rows[:limit], tokens)

    def _estimate_exactly(
        self, node: Node, spec: JudgeSpec | JudgePairsSpec, answers: Sequence[Node], counted: set[bytes]
    ) -> JudgeWork | None:
        rows = self._read_items(node)
        if rows is None:
            return None
        said = [read_responses(self.store.open(*one.name)) for one in answers]
        if isinstance(spec, JudgePairsSpec):
            from mixlab.evaluation.judges.pair_judge import preference_form, render_turns

            turns = render_turns(spec.judge, rows, (said[0], said[1]))
            compared = [prompt for turn in turns for prompt in turn.prompts]
            form = preference_form(spec.judge)
            return estimate_prompts(spec.judge, compared, spec.judge_run, form, self.verdicts, counted)
        judge = _require_model(spec)
        asked = [prompt for pair in pair_responses(rows, said[0]) for prompt in render_prompts(judge, pair)]
        return estimate_prompts(judge, asked, spec.judge_run, rating_form(judge), self.verdicts, counted)


def _leave_blank(item: Mapping[str, Any]) -> tuple[Mapping[str, Any], Response]:
    """Pair an item with a response that says nothing in any of its turns."""
    return item, Response(str(item["id"]), [], responses=[""] * len(read_texts(item, "turns")))


def _require_model(spec: JudgeSpec) -> ModelJudgeSettings:
    if not isinstance(spec.judge, ModelJudgeSettings):
        raise TypeError(f"expected a model judge, got {type(spec.judge).__name__}")
    return spec.judge


@contextmanager
def open_counter(planned: Planned, store: Store, complete: frozenset[Name]) -> Iterator[Counter]:
    """Open what is asked and rated in a plan; nothing is written where there is no store of verdicts yet."""
    with ExitStack() as stack:
        path = store.root / STORE
        if not path.exists():
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mixlab-verdicts-"))) / STORE.name
        yield Counter(planned, store, complete, stack.enter_context(VerdictStore(path)))
