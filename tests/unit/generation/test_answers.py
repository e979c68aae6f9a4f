"""What is asked of an engine, and what need not be: kills, equal prompts, refusals, long prompts, the batch."""

import json
import logging

import pytest

from mixlab.config.generation import PromptSettings, SamplingSettings
from mixlab.config.problems import DataError
from mixlab.generation.engine import REFUSED, Completion, Request
from mixlab.generation.journal import FILE, Journal
from mixlab.generation.progress import Progress
from mixlab.generation.responses import read_responses
from mixlab.generation.rows import build_row_seed
from mixlab.generation.run import Asking, write_responses

GREEDY = PromptSettings(template="Q: {question}", chat=False)
SAMPLED = GREEDY.model_copy(update={"sampling": SamplingSettings(temperature=1.0)})
ITEMS = [{"id": str(number), "question": f"q{number}"} for number in range(20)]
EQUAL = [{"id": str(number), "question": "the same"} for number in range(5)]


class Kill(BaseException):
    """What ends a run from outside."""


class Scripted:
    """Answers `seed SEED` two requests at a time; dies when `lives` requests are answered, and counts them all."""

    special_tokens = ()

    def __init__(self, lives=10**9, answer=lambda request: f"seed {request.seed}", reason="stop"):
        self.lives, self.answer, self.reason, self.asked = lives, answer, reason, []

    def find_too_long(self, requests, sampling, *, chat):
        return [(at, "9 tokens do not fit") for at, one in enumerate(requests) if "long" in one.text]

    def generate(self, requests, sampling, *, chat):
        for start in range(0, len(requests), 2):
            members = range(start, min(start + 2, len(requests)))
            if len(self.asked) >= self.lives:
                raise Kill
            self.asked += [requests[at].text for at in members]
            yield [(at, Completion(self.answer(requests[at]), 4, 2, self.reason, note="why")) for at in members]


def write(engine, settings, items, out, **asking):
    out.mkdir()
    facts = write_responses(engine, settings, items, 7, out, Asking(**asking))
    return facts, (out / "responses.jsonl").read_bytes()


def test_a_run_that_was_killed_asks_only_for_what_is_missing(tmp_path):
    _, whole = write(Scripted(), SAMPLED, ITEMS, tmp_path / "whole")
    work, engines = tmp_path / "work", [Scripted(lives) for lives in (4, 6, 8, 100)]
    work.mkdir()
    for number, engine in enumerate(engines[:-1]):
        with pytest.raises(Kill):
            write(engine, SAMPLED, ITEMS, tmp_path / f"out{number}", work=work)
    facts, resumed = write(engines[-1], SAMPLED, ITEMS, tmp_path / "last", work=work)
    assert resumed == whole
    assert [len(engine.asked) for engine in engines] == [4, 6, 8, 2]
    assert facts == {"resumed": "18 responses kept from a run that ended early"}


@pytest.mark.parametrize(
    "tail", [b'{"prompt": "ab', b'{"prompt": 3}\n', b"\xff\xfe\n", b"[]\n", b'{"seed": 1}', b"\0" * 99]
)
def test_what_a_kill_left_of_a_line_is_asked_again_and_cut_off(tmp_path, tail):
    work = tmp_path / "work"
    work.mkdir()
    _, first = write(Scripted(), SAMPLED, ITEMS, tmp_path / "first", work=work)
    journal = work / FILE
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:7]) + tail)
    engine = Scripted()
    _, second = write(engine, SAMPLED, ITEMS, tmp_path / "second", work=work)
    assert (second, len(engine.asked)) == (first, 13)
    assert sorted(journal.read_bytes().splitlines()) == sorted(b"".join(lines).splitlines())


def test_equal_prompts_are_answered_once_where_decoding_is_greedy_and_apart_where_it_is_not(tmp_path):
    engine = Scripted()
    facts, _ = write(engine, GREEDY, EQUAL, tmp_path / "greedy")
    assert len(engine.asked) == 1
    assert facts == {"shared": "4 responses taken from an equal prompt"}
    assert len({tuple(one.responses) for one in read_responses(tmp_path / "greedy")}) == 1
    engine = Scripted()
    facts, _ = write(engine, SAMPLED, EQUAL, tmp_path / "sampled")
    assert (len(engine.asked), facts) == (5, {})
    assert len({tuple(one.responses) for one in read_responses(tmp_path / "sampled")}) == 5


def test_a_models_benchmarks_share_greedy_answers_and_no_sampled_ones(tmp_path):
    engine, greedy = Scripted(), {}
    write(engine, GREEDY, ITEMS, tmp_path / "first", greedy=greedy)
    out = tmp_path / "second"
    out.mkdir()
    write_responses(engine, GREEDY, ITEMS, 8, out, Asking(greedy=greedy))
    assert len(engine.asked) == len(ITEMS)
    longer = GREEDY.model_copy(update={"sampling": SamplingSettings(max_new_tokens=65)})
    write(engine, longer, ITEMS, tmp_path / "third", greedy=greedy)
    assert len(engine.asked) == 2 * len(ITEMS)
    for seed in (7, 8):
        (tmp_path / str(seed)).mkdir()
        write_responses(engine, SAMPLED, ITEMS, seed, tmp_path / str(seed), Asking(greedy=greedy))
    assert len(engine.asked) == 4 * len(ITEMS)


def test_prompts_that_are_too_long_are_all_named_before_anything_is_asked(tmp_path):
    items = [*ITEMS[:2], {"id": "a", "question": "long"}, {"id": "b", "question": "long too"}]
    refusing = GREEDY.model_copy(update={"sampling": SamplingSettings(long_prompts="refuse")})
    engine = Scripted()
    with pytest.raises(DataError) as caught:
        write(engine, refusing, items, tmp_path / "out")
    assert [problem.key for problem in caught.value.problems] == ["item a, turn 1", "item b, turn 1"]
    assert "9 tokens do not fit; lower max_new_tokens" in str(caught.value)
    assert engine.asked == []


def test_responses_without_a_visible_character_and_refusals_are_counted(tmp_path):
    blank = Scripted(answer=lambda request: " \n\u3000" if "1" in request.text else "x", reason="length")
    write(blank, GREEDY, ITEMS, tmp_path / "out")
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert (index["items"], index["truncated"], index["blank"]) == (20, 20, 11)
    assert read_responses(tmp_path / "out")[1].responses == [" \n\u3000"]


class Refusing(Scripted):
    """Refuses what `refuses` says."""

    def __init__(self, refuses):
        super().__init__()
        self.refuses = refuses

    def generate(self, requests, sampling, *, chat):
        for finished in super().generate(requests, sampling, chat=chat):
            yield [
                (at, Completion("", None, 0, REFUSED, note="bad field") if self.refuses(requests[at]) else one)
                for at, one in finished
            ]


@pytest.mark.parametrize(("count", "asked"), [(1, 1), (4, 4), (60, 20)])
def test_where_all_is_refused_the_request_is_doubted_and_nothing_is_kept(tmp_path, count, asked):
    items = [{"id": str(number), "question": f"q{number}"} for number in range(count)]
    engine = Refusing(lambda request: True)
    (tmp_path / "work").mkdir()
    with pytest.raises(DataError, match=rf"all of the first {asked} prompts were refused.*bad field"):
        write(engine, GREEDY, items, tmp_path / "out", work=tmp_path / "work")
    assert len(engine.asked) == asked
    assert list((tmp_path / "work").iterdir()) == []


def test_single_refusals_are_recorded_and_not_asked_again(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    engine = Refusing(lambda request: request.text in ("Q: q0", "Q: q5"))
    write(engine, GREEDY, ITEMS, tmp_path / "out", work=work)
    assert json.loads((tmp_path / "out/index.json").read_text())["finish_reasons"] == {"refused": 2}
    first = read_responses(tmp_path / "out")[0]
    assert (first.responses, first.prompt_tokens, first.finish_reasons) == ([""], [None], ["refused"])
    write(engine, GREEDY, ITEMS, tmp_path / "again", work=work)
    assert len(engine.asked) == len(ITEMS)
    only = Refusing(lambda request: True)
    write(only, GREEDY, [*ITEMS, {"id": "new", "question": "new"}], tmp_path / "more", work=work)
    assert only.asked == ["Q: new"]


def test_refusals_that_fail_the_job_are_asked_again_and_answers_are_not(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    sampling = SamplingSettings(long_prompts="refuse")
    settings = GREEDY.model_copy(update={"sampling": sampling})
    refusing = Refusing(lambda request: request.text in ("Q: q0", "Q: q5"))
    with pytest.raises(DataError, match="the endpoint refused it"):
        write(refusing, settings, ITEMS, tmp_path / "out", work=work)
    # as a program that kept refusals left it
    refused = Request("Q: q5", build_row_seed(7000, 5, "Q: q5"))
    Journal(work).add([(refused, Completion("", None, 0, REFUSED))])
    assert Journal(work).find(refused) is not None
    mended = Scripted()
    write(mended, settings, ITEMS, tmp_path / "again", work=work)
    assert sorted(mended.asked) == ["Q: q0", "Q: q5"]
    assert json.loads((tmp_path / "again/index.json").read_text())["items"] == len(ITEMS)


def test_how_many_responses_depend_on_the_batch_is_measured_where_asked(tmp_path):
    class Mixed(Scripted):
        def generate(self, requests, sampling, *, chat):
            alone = len(requests) == 1
            self.answer = lambda one: f"{one.text} {'alone' if alone and int(one.text[-1]) % 4 == 0 else ''}"
            yield from super().generate(requests, sampling, chat=chat)

    facts, _ = write(Mixed(), GREEDY, ITEMS, tmp_path / "bf16", measures_dependence=True)
    # every second of 20 items, the first eight of them: 0, 2, 4 … 14, of which 0, 4, 8, 10 and 14 end in 0, 4 or 8
    assert facts == {"batch_dependence": "5 of 8 responses differ within 32 tokens when generated alone"}
    facts, _ = write(Mixed(), GREEDY, ITEMS[:1], tmp_path / "one", measures_dependence=True)
    assert facts == {}


def test_a_log_gets_a_line_now_and_then_and_a_terminal_a_bar(caplog, capsys):
    one = [Completion("x", 1, 5, "stop")]
    with caplog.at_level(logging.INFO):
        rare, often = Progress(3, "rare", in_terminal=False), Progress(3, "turn 1", in_terminal=False, log_seconds=0)
        for progress in (rare, often):
            progress.report(one)
            progress.report(one)
            progress.close()
    assert [line.split(",")[0] for line in caplog.messages] == ["turn 1: 1/3", "turn 1: 2/3"]
    bar = Progress(2, "turn 2", in_terminal=True)
    bar.report(one * 2)
    bar.close()
    told = capsys.readouterr().err
    assert "turn 2" in told and "2/2" in told and "tokens/s" in told
