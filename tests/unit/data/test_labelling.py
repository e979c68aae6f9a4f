"""Labels follow from the store; only what is missing is asked; what cannot be read is counted and kept apart."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixlab.config.categories import CATEGORIES
from mixlab.config.labelling import LabellerConfig, LabelSettings
from mixlab.config.problems import DataError
from mixlab.data.labels import labelling
from mixlab.data.labels.labelling import NOT_ASKED, UNPARSABLE, count_work, label_records
from mixlab.data.labels.questions import REFUSED, UNANSWERED, Question, Reply
from mixlab.data.labels.store import LabelStore
from mixlab.data.records import Record

MATH = CATEGORIES.index("math")


def build_settings(**changes: Any) -> LabelSettings:
    engine = {"type": "openai", "model": "tiny"}
    return LabellerConfig.model_validate({"engine": engine, "endpoint": "local", **changes}).to_settings()


def dialogues(numbers: Iterable[int]) -> Callable[[], Iterable[tuple[int, Record]]]:
    made = [(number, {"messages": [{"role": "user", "content": f"dialogue {number}."}]}) for number in numbers]
    return lambda: iter(made)


class Model:
    """Answers by a rule from the dialogue's number and the attempt, one question at a time, and counts."""

    def __init__(self, rule: Callable[[int, int], Reply]) -> None:
        self.rule = rule
        self.asked: Counter[int] = Counter()

    def __call__(self, questions: Sequence[Question]) -> Iterable[Sequence[tuple[int, Reply]]]:
        for position, question in reversed(list(enumerate(questions))):
            number = int(question.text.split("dialogue ")[1].split(".")[0])
            self.asked[number] += 1
            yield [(position, self.rule(number, question.attempt))]


def named(number: int, attempt: int) -> Reply:
    return Reply(f"Category: {CATEGORIES[number % 4]}", "stop", 10, 2)


def label(tmp_path: Path, settings: LabelSettings, records: Any, total: int, model: Model, name: str = "out") -> Path:
    out = tmp_path / name
    out.mkdir()
    label_records(settings, records, total, model, tmp_path / "labels.sqlite", out)
    return out


def read(out: Path) -> tuple[list[int], list[dict[str, Any]], dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "unparsable.jsonl").read_text().splitlines()]
    return np.load(out / "labels.npy").tolist(), lines, json.loads((out / "index.json").read_text())


def test_each_dialogue_gets_its_label_at_its_ordinal_and_excluded_ones_none(tmp_path: Path) -> None:
    labels, unparsable, index = read(label(tmp_path, build_settings(), dialogues([0, 1, 2, 3, 6]), 8, Model(named)))
    assert labels == [0, 1, 2, 3, NOT_ASKED, NOT_ASKED, 2, NOT_ASKED]
    assert unparsable == []
    assert index == {
        "labeller": "tiny",
        "records": 8,
        "asked": 5,
        "categories": {"code": 1, "general": 1, "math": 2, "reasoning": 1},
        "unparsable": 0,
        "on_unparsable": "exclude",
        "attempts": {"1": 5},
    }


def test_a_rerun_asks_nothing_and_writes_the_same_bytes(tmp_path: Path) -> None:
    def rule(number: int, attempt: int) -> Reply:
        return Reply("?", "stop") if number % 5 == 0 else named(number, attempt)

    first = label(tmp_path, build_settings(), dialogues(range(50)), 50, Model(rule), "first")
    again = Model(named)
    second = label(tmp_path, build_settings(), dialogues(range(50)), 50, again, "second")
    assert again.asked == {}
    for path in sorted(first.iterdir()):
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_a_run_that_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    def stop_at_20(number: int, attempt: int) -> Reply:
        if number == 20:
            raise KeyboardInterrupt
        return named(number, attempt)

    broken, whole = Model(stop_at_20), Model(named)
    with pytest.raises(KeyboardInterrupt):
        label(tmp_path, build_settings(), dialogues(range(50)), 50, broken, "first")
    label(tmp_path, build_settings(), dialogues(range(50)), 50, whole, "second")
    assert sorted(broken.asked) == list(range(20, 50))
    assert sorted(whole.asked) == list(range(21))


def test_equal_dialogues_are_asked_once_in_a_source_and_in_another(tmp_path: Path) -> None:
    model = Model(named)
    equal = [(ordinal, record) for ordinal, (_, record) in enumerate([*dialogues([3, 4])(), *dialogues([3])()])]
    assert read(label(tmp_path, build_settings(), lambda: equal, 3, model, "a"))[0] == [3, 0, 3]
    label(tmp_path, build_settings(), dialogues([4, 5]), 6, model, "b")
    assert model.asked == {3: 1, 4: 1, 5: 1}


def test_an_unparsable_reply_is_asked_again_as_often_as_settings_say(tmp_path: Path) -> None:
    def rule(number: int, attempt: int) -> Reply:
        return named(number, attempt) if attempt > number else Reply(f"hm {attempt}", "stop")

    model = Model(rule)
    labels, unparsable, index = read(label(tmp_path, build_settings(attempts=3), dialogues(range(4)), 4, model))
    assert labels == [0, 1, 2, UNPARSABLE]
    assert model.asked == {0: 1, 1: 2, 2: 3, 3: 3}
    assert unparsable == [{"record": 3, "replies": ["hm 1", "hm 2", "hm 3"], "finish_reasons": ["stop"] * 3}]
    assert (index["attempts"], index["unparsable"]) == ({"1": 1, "2": 1, "3": 2}, 1)


def test_more_attempts_ask_only_what_was_unparsable_and_fewer_ask_nothing(tmp_path: Path) -> None:
    never = Model(lambda number, attempt: named(number, attempt) if number else Reply("hm", "stop"))
    label(tmp_path, build_settings(attempts=2), dialogues(range(3)), 3, never, "two")
    label(tmp_path, build_settings(attempts=4), dialogues(range(3)), 3, never, "four")
    label(tmp_path, build_settings(attempts=1), dialogues(range(3)), 3, never, "one")
    assert never.asked == {0: 4, 1: 1, 2: 1}


def test_unparsable_dialogues_may_count_as_a_category_and_are_still_listed(tmp_path: Path) -> None:
    model = Model(lambda number, attempt: Reply("hm", "stop") if number else named(number, attempt))
    settings = build_settings(on_unparsable="math", attempts=1)
    labels, unparsable, index = read(label(tmp_path, settings, dialogues(range(2)), 2, model))
    assert (labels, len(unparsable)) == ([0, MATH], 1)
    assert (index["unparsable"], index["categories"]["math"], index["on_unparsable"]) == (1, 1, "math")


def mumble(number: int, attempt: int) -> Reply:
    return Reply("I think\nit is " + "about " * 50, "length")


@pytest.mark.parametrize(("count", "policy"), [(20, "exclude"), (30, "exclude"), (30, "math")])
def test_a_model_of_which_no_answer_can_be_read_is_no_success(tmp_path: Path, count: int, policy: str) -> None:
    with pytest.raises(DataError) as caught:
        label(tmp_path, build_settings(on_unparsable=policy), dialogues(range(count)), count, Model(mumble))
    said = str(caught.value)
    assert f"tiny: none of {count} dialogues got an answer that can be read" in said
    assert "ended by 'length': 'I think it is about" in said
    assert "raise the engine's max_tokens" in said
    assert len(said) < 700


def test_a_model_that_answers_nothing_readable_is_not_asked_about_the_whole_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(labelling, "_WINDOW_QUESTIONS", 25)
    # one that no try got answered does not make the others readable
    model = Model(lambda number, at: Reply("timed out", UNANSWERED) if number == 3 else mumble(number, at))
    with caplog.at_level(logging.INFO), pytest.raises(DataError, match="none of 24 dialogues"):
        label(tmp_path, build_settings(), dialogues(range(50)), 50, model)
    assert len(model.asked) == 25
    assert "response tokens, 24 of 50 unparsable" in caplog.text


def test_the_few_dialogues_of_a_small_source_count_as_the_category_that_settings_name(tmp_path: Path) -> None:
    labels, _, index = read(label(tmp_path, build_settings(on_unparsable="math"), dialogues([0]), 1, Model(mumble)))
    assert (labels, index["unparsable"]) == ([MATH], 1)


def test_the_few_dialogues_of_a_small_source_may_all_be_left_out_and_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    withheld = Model(lambda number, attempt: Reply("", "content_filter"))
    labels, _, index = read(label(tmp_path, build_settings(), dialogues(range(2)), 2, withheld))
    assert (labels, index["unparsable"]) == ([UNPARSABLE] * 2, 2)
    assert "2 of 2 dialogues (100 %) got no answer that can be read; they are left out" in caplog.text


@pytest.mark.parametrize(
    ("bad", "policy", "told"),
    [
        (1, "exclude", None),
        (2, "exclude", "tiny: 2 of 10 dialogues (20 %) got no answer that can be read; they are left out"),
        (9, "math", "tiny: 9 of 10 dialogues (90 %) got no answer that can be read; they count as math"),
    ],
)
def test_many_unparsable_answers_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bad: int, policy: str, told: str | None
) -> None:
    model = Model(lambda number, attempt: mumble(number, attempt) if number < bad else named(number, attempt))
    label(tmp_path, build_settings(on_unparsable=policy), dialogues(range(10)), 10, model)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [message.partition(":")[2] for message in warnings] == (
        [] if told is None else [told.partition(":")[2] + ": see unparsable.jsonl"]
    )


def test_a_refused_dialogue_is_unparsable_at_once(tmp_path: Path) -> None:
    model = Model(lambda number, attempt: Reply("too long", REFUSED) if number == 1 else named(number, attempt))
    labels, unparsable, _ = read(label(tmp_path, build_settings(), dialogues(range(3)), 3, model))
    assert (labels, model.asked[1]) == ([0, UNPARSABLE, 2], 1)
    assert unparsable == [{"record": 1, "replies": ["too long"], "finish_reasons": [REFUSED]}]


@pytest.mark.parametrize("count", [1, 3, 60])
def test_where_everything_is_refused_the_request_is_doubted_and_nothing_stored(tmp_path: Path, count: int) -> None:
    refusing = Model(lambda number, attempt: Reply("unknown field seed", REFUSED))
    with pytest.raises(DataError, match=r"refused, so that the request itself may be wrong.*unknown field seed"):
        label(tmp_path, build_settings(), dialogues(range(count)), count, refusing, "first")
    whole = Model(named)
    label(tmp_path, build_settings(), dialogues(range(count)), count, whole, "second")
    assert len(whole.asked) == count


def test_a_last_refused_dialogue_does_not_stop_a_source_that_was_answered(tmp_path: Path) -> None:
    label(tmp_path, build_settings(), dialogues(range(3)), 3, Model(named), "first")
    refusing = Model(lambda number, attempt: Reply("too long", REFUSED))
    assert read(label(tmp_path, build_settings(), dialogues(range(4)), 4, refusing, "second"))[0][3] == UNPARSABLE


def test_unanswered_dialogues_are_named_at_the_end_and_asked_again_by_the_next_run(tmp_path: Path) -> None:
    model = Model(lambda number, attempt: Reply("timed out", UNANSWERED) if number == 2 else named(number, attempt))
    with pytest.raises(DataError, match=r"no answer about 1 dialogues \(records 2\).*timed out.*run again"):
        label(tmp_path, build_settings(), dialogues(range(5)), 5, model, "first")
    again = Model(named)
    label(tmp_path, build_settings(), dialogues(range(5)), 5, again, "second")
    assert again.asked == {2: 1}


def test_windows_do_not_change_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rule(number: int, attempt: int) -> Reply:
        return Reply("hm", "stop") if number % 7 == 0 else named(number, attempt)

    whole = label(tmp_path, build_settings(), dialogues(range(40)), 40, Model(rule), "whole")
    monkeypatch.setattr(labelling, "_WINDOW_QUESTIONS", 3)
    (tmp_path / "labels.sqlite").unlink()
    cut = label(tmp_path, build_settings(), dialogues(range(40)), 40, Model(rule), "cut")
    assert {path.name for path in cut.iterdir()} == {path.name for path in whole.iterdir()} != set()
    for path in sorted(whole.iterdir()):
        assert path.read_bytes() == (cut / path.name).read_bytes()


def test_what_will_be_asked_is_said_before_it_is_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    label(tmp_path, build_settings(), dialogues(range(3)), 3, Model(named), "first")
    told: list[str] = []

    def rule(number: int, attempt: int) -> Reply:
        told.extend(message for message in caplog.messages if "to ask" in message)
        return named(number, attempt)

    caplog.clear()
    label(tmp_path, build_settings(), dialogues(range(10)), 10, Model(rule), "second")
    assert told[0].startswith("tiny: 10 dialogues, 3 answered in the store, at most 7 to ask (")
    assert "7 asked, 70 prompt and 14 response tokens" in caplog.text


def test_counting_the_work_asks_nothing_and_counts_what_is_open(tmp_path: Path) -> None:
    settings, store = build_settings(), tmp_path / "labels.sqlite"
    label(tmp_path, settings, dialogues(range(3)), 3, Model(named))
    work = count_work(settings, dialogues(range(10)), store)
    assert (work.dialogues, work.answered, work.open) == (10, 3, 7)
    assert work.characters > 7 * len("dialogue 1.")


def test_keyword_rules_need_neither_a_model_nor_a_store(tmp_path: Path) -> None:
    settings = LabellerConfig.model_validate({"engine": {"type": "rules"}}).to_settings()
    texts = ["Write a Python function.", "Hello!", "How many apples are 3 + 4?", "Sort 312 from small to large."]
    records = [(ordinal, {"messages": [{"role": "user", "content": text}]}) for ordinal, text in enumerate(texts)]
    label_records(settings, lambda: records, 4, None, tmp_path / "labels.sqlite", tmp_path)
    labels, _, index = read(tmp_path)
    assert labels == [0, 1, 2, 3]
    assert index["labeller"] == "keyword rules (not a language model)"
    assert not (tmp_path / "labels.sqlite").exists()


def test_a_store_that_is_shared_is_what_decides(tmp_path: Path) -> None:
    """Another job's answer that came first is the one that counts, whatever this job was told."""
    path = tmp_path / "labels.sqlite"

    class Overtaken(Model):
        def __call__(self, questions: Sequence[Question]) -> Iterable[Sequence[tuple[int, Reply]]]:
            with LabelStore(path) as other:
                other.add([(question.digest, 1, Reply("math", "stop")) for question in questions])
            return super().__call__(questions)

    assert read(label(tmp_path, build_settings(), dialogues(range(4)), 4, Overtaken(named)))[0] == [MATH] * 4
