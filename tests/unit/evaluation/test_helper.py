"""Helpers that do not do as they should: none keeps who asks longer than promised, or answers another question."""

import sys
import time
from collections.abc import Callable, Iterator

import pytest

from mixlab.evaluation.helper import Helper

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
HALF = "import sys, time; sys.stdin.readline(); sys.stdout.write('half'); sys.stdout.flush(); time.sleep(60)"
HALF_AND_GONE = "import sys; sys.stdin.readline(); sys.stdout.write('half')"
DRIP = "import sys, time; sys.stdin.readline()\nwhile True: sys.stdout.write('x'); sys.stdout.flush(); time.sleep(0.01)"
DEAF = "import time; time.sleep(60)"
TWO = "import sys\nfor line in sys.stdin: print(line.strip() + chr(10) + 'more', flush=True)"
LATE = "import sys, time\nfor line in sys.stdin: print('one', flush=True); time.sleep(0.2); print('two', flush=True)"
UNASKED = "import time; print('hello', flush=True); time.sleep(60)"

Make = Callable[[str], Helper]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes helpers that run a text of Python, and ends them."""
    made: list[Helper] = []

    def build(code: str) -> Helper:
        made.append(Helper((sys.executable, "-I", "-S", "-c", code)))
        return made[-1]

    yield build
    for one in made:
        one.stop()


@pytest.mark.parametrize(
    ("code", "data"),
    [(HALF, b"q\n"), (DRIP, b"q\n"), (DEAF, b"x" * 300_000 + b"\n")],
    ids=["half a line", "a line without end", "reads nothing"],
)
@pytest.mark.timeout(20)
def test_a_helper_that_goes_no_further_is_given_up_in_time(code: str, data: bytes, make: Make) -> None:
    helper = make(code)
    start = time.monotonic()
    assert helper.ask(data, 0.5) is None
    assert time.monotonic() - start < 5
    assert not helper.is_running


def test_two_lines_are_no_answer_and_none_to_the_next_question(make: Make) -> None:
    helper = make(TWO)
    # both lines in one reading, or the second found before the next question
    answers = [helper.ask(b"%d\n" % number, 20) for number in range(3)]
    assert set(answers) <= {b"", *(b"%d\n" % number for number in range(3))}
    assert b"" in answers
    assert all(answer in (b"", b"%d\n" % number) for number, answer in enumerate(answers))


def test_a_line_behind_the_answer_ends_the_helper_before_the_next_question(make: Make) -> None:
    helper = make(LATE)
    assert helper.ask(b"q\n", 20) == b"one\n"
    time.sleep(1)
    assert helper.ask(b"q\n", 20) == b""
    assert not helper.is_running
    assert helper.ask(b"q\n", 20) == b"one\n"


def test_what_is_written_without_being_asked_is_no_answer(make: Make) -> None:
    helper = make(UNASKED)
    helper._start()
    time.sleep(1)
    assert helper.ask(b"q\n", 20) == b""


def test_half_a_line_of_a_helper_that_ended_is_no_answer(make: Make) -> None:
    assert make(HALF_AND_GONE).ask(b"q\n", 20) == b""


def test_long_questions_and_long_answers_pass_in_both_directions(make: Make) -> None:
    helper = make(ECHO)
    for size in (1, 5_000_000, 3):
        line = b"x" * size + b"\n"
        assert helper.ask(line, 20) == line
    assert helper.is_running


def test_an_answer_longer_than_any_ends_the_helper_before_the_memory(make: Make) -> None:
    helper = make("import sys; sys.stdin.readline()\nwhile True: sys.stdout.write('x' * 1000000)")
    assert helper.ask(b"q\n", 60) == b""
