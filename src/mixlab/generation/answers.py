"""What is asked of an engine, and what need not be: prompts that are equal, and those a killed job had finished."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mixlab.config.generation import SamplingSettings
from mixlab.config.problems import DataError
from mixlab.generation.dependence import measure_dependence
from mixlab.generation.engine import REFUSED, Completion, Engine, Request
from mixlab.generation.journal import Journal
from mixlab.generation.progress import Progress

REFUSALS_BEFORE_DOUBT = 20
"""After so many refusals and no answer the request itself counts as wrong."""

Greedy = dict[tuple[str, str], Completion]
"""Greedy completions by sampling settings and prompt: with another seed they are the same."""


@dataclass
class Answers:
    """Asks an engine; counts what needed no asking.

    `greedy` is shared by the benchmarks of one model in memory; None for an engine that need not repeat itself.
    `measures_dependence`: say whether a response depends on its batch, as in a precision below float32.
    """

    engine: Engine
    sampling: SamplingSettings
    chat: bool
    journal: Journal
    greedy: Greedy | None = None
    measures_dependence: bool = False
    repeated: int = field(default=0, init=False)
    _dependence: list[str] = field(default_factory=list, init=False)
    _held: list[tuple[Request, Completion]] = field(default_factory=list, init=False)

    def find(self, requests: Sequence[Request], what: str) -> list[Completion]:
        """Return a completion for each request, in their order; `what` is their name in the bar of progress.

        Equal prompts share a greedy completion; sampled ones have each their own, since each has a seed of its own.
        """
        asked = self._choose(requests)
        missing = [request for request in asked.values() if self._recall(request) is None]
        self.repeated += len(requests) - len(asked)
        self._ask(missing, what)
        found = [self._recall(asked[self._identify(request)]) for request in requests]
        if lost := found.count(None):
            raise RuntimeError(f"the engine left {lost} of {len(requests)} requests without a completion")
        return [one for one in found if one is not None]

    def facts(self) -> Mapping[str, str]:
        """Return facts of this run, where there are any: what was kept, what was shared, what depends on the batch."""
        told = {
            "resumed": f"{self.journal.kept} responses kept from a run that ended early" if self.journal.kept else "",
            "shared": f"{self.repeated} responses taken from an equal prompt" if self.repeated else "",
            "batch_dependence": "; ".join(self._dependence),
        }
        return {name: text for name, text in told.items() if text}

    def _choose(self, requests: Sequence[Request]) -> dict[tuple[str, int], Request]:
        """The first request of those that are answered alike."""
        chosen: dict[tuple[str, int], Request] = {}
        for request in requests:
            chosen.setdefault(self._identify(request), request)
        return chosen

    def _identify(self, request: Request) -> tuple[str, int]:
        return request.text, 0 if self._is_greedy(request) else request.seed

    def _is_greedy(self, request: Request) -> bool:
        return request.sampling(self.sampling).temperature == 0

    def _recall(self, request: Request) -> Completion | None:
        found = self.journal.find(request)
        if found is None and self.greedy is not None and self._is_greedy(request):
            found = self.greedy.get(self._share(request))
        return found

    def _keep(self, pairs: Sequence[tuple[Request, Completion]]) -> None:
        """Keep completions. Refusals wait until something was answered: a wrong request is refused each time."""
        self._held += pairs
        if self.journal.holds_answers or any(completion.finish_reason != REFUSED for _, completion in pairs):
            self.journal.holds_answers = True
            self.journal.add(self._held)
            if self.greedy is not None:
                greedy = (pair for pair in self._held if self._is_greedy(pair[0]))
                self.greedy.update({self._share(request): completion for request, completion in greedy})
            self._held = []
        elif len(self._held) >= REFUSALS_BEFORE_DOUBT:
            raise self._build_doubt()

    def _build_doubt(self) -> DataError:
        return DataError(
            f"all of the first {len(self._held)} prompts were refused, so that the request itself may be wrong: see "
            f"`sends`, `max_tokens_name` and `extra` of the served model. The last refusal: {self._held[-1][1].note}"
        )

    def _share(self, request: Request) -> tuple[str, str]:
        return f"{self.chat} {request.sampling(self.sampling).model_dump_json()}", request.text

    def _ask(self, missing: Sequence[Request], what: str) -> None:
        if not missing:
            return
        progress = Progress(len(missing), what)
        asked: list[tuple[Request, Completion]] = []
        try:
            for finished in self.engine.generate(missing, self.sampling, chat=self.chat):
                pairs = [(missing[position], completion) for position, completion in finished]
                self._keep(pairs)
                asked += pairs
                progress.report([completion for _, completion in pairs])
        finally:
            progress.close()
        if self._held:
            raise self._build_doubt()
        if self.measures_dependence:
            told = measure_dependence(self.engine, asked, self.sampling, chat=self.chat)
            self._dependence += [told] if told else []
