"""What travels between the program and its tests arrives as it was; honest programs notice nothing."""

import collections
import datetime
import json
from decimal import Decimal
from fractions import Fraction

import pytest

from mixlab.config.scorers import SandboxLimits
from mixlab.evaluation.exchange import pack, unpack
from mixlab.evaluation.sandbox import LABEL_BUBBLEWRAP, Program, Sandbox

VALUES = [
    None,
    True,
    -0.0,
    float("inf"),
    2**53,
    -(10**5000),
    "text 小屋 \ud800",
    b"\x00\xff",
    bytearray(b"x"),
    1 + 2j,
    [1, [2, (3, {4})]],
    {"a": {1: None}, (1, 2): frozenset({3})},
    collections.deque([1, 2]),
    range(3, 9, 2),
    Fraction(-1, 3),
    Decimal("1.10"),
    int,
    dict,
    {2: 1, (1,): 2}.keys(),
    {2: [1]}.items(),
    datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 23, 59, 59, 7),
    datetime.time(1, 2),
    datetime.timedelta(-1, 5),
]


def refuse(value):
    raise TypeError(type(value).__name__)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_data_arrives_as_it_was(value):
    arrived = unpack(json.loads(json.dumps(pack(value, refuse))), refuse)
    assert arrived == value
    assert type(arrived) is type(value)


def test_what_is_not_a_number_arrives():
    assert str(unpack(json.loads(json.dumps(pack(float("nan"), refuse))), refuse)) == "nan"


def test_a_time_with_a_zone_goes_by_number():
    assert pack(datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), lambda value: 7) == ["object", 7]


def test_subclasses_arrive_as_what_they_hold():
    pair = collections.namedtuple("Pair", "a b")(1, 2)
    counted = collections.Counter("aab")
    assert [unpack(pack(one, refuse), refuse) for one in (pair, counted)] == [(1, 2), {"a": 2, "b": 1}]


def test_other_objects_go_by_number():
    assert pack([refuse], lambda value: 7) == ["list", [["object", 7]]]
    assert unpack(["object", 7], lambda number: -number) == -7


@pytest.mark.parametrize(
    "packed", [{}, ["unknown", 1], ["type", "print"], ["module", "os"], ["int"], ["set", [["list", []]]]]
)
def test_what_pack_does_not_make_is_an_error(packed):
    with pytest.raises((ValueError, TypeError)):
        unpack(packed, refuse)


HONEST = {
    "arguments changed in place": (
        "def f(xs, table):\n    xs.sort()\n    table['n'] = len(xs)",
        "xs, table = [3, 1], {}\nassert f(xs, table) is None\nassert (xs, table) == ([1, 3], {'n': 2})",
    ),
    "a class and its objects": (
        "class Node:\n    def __init__(self, value): self.value, self.next = value, None\n"
        "def f(node): return node.value + (f(node.next) if node.next else 0)",
        "one = Node(1)\none.next = Node(2)\nassert f(one) == 3\nassert one.next.value == 2\nassert one != Node(1)",
    ),
    "objects that define their equality": (
        "class P:\n    def __init__(self, x): self.x = x\n    def __eq__(self, other): return self.x == other.x\n"
        "def f(x): return P(x)",
        "assert f(1) == P(1)\nassert f(1) != P(2)\nassert not f(1) == 1",
    ),
    "a generator": (
        "def f(n):\n    yield from range(n)",
        "assert list(f(3)) == [0, 1, 2] == sorted(f(3))\nassert f(3)",
    ),
    "an error that is expected": (
        "def f(x):\n    if x < 0: raise ValueError('negative')\n    return int('x' * x)",
        "try:\n    f(-1)\n    assert False\nexcept ValueError as error:\n    assert str(error) == 'negative'\n",
    ),
    "several functions and constants": (
        "import math\nLIMIT = 3\ndef g(x, /, *, y=1): return x + y\ndef f(x): return g(x, y=2)",
        "assert f(1) == LIMIT == g(1, y=2) and math.floor(1.5) == 1",
    ),
    "functions of builtins as arguments": (
        "def f(kind, xs): return list(map(kind, xs))",
        "assert f(str, [1]) == ['1']",
    ),
    "a length, an item, a text": (
        "class E:\n    __len__ = lambda s: 3\n    __getitem__ = lambda s, n: n\n    __str__ = lambda s: 'e'\nf = E",
        "e = f()\nassert (len(e), e[2], str(e)) == (3, 2, 'e')",
    ),
    "tests that print and import": (
        "def f(x): return x",
        "import random\nprint(f(random.Random(1).random()))\nassert f('小屋') == '小屋'",
    ),
    "keys and items of a dict": (
        "def f(table): return table.keys() if len(table) == 1 else table.items()",
        "assert f({2: 3}) == {2}\nassert f({1: [2], 3: 4}) == {1: [2], 3: 4}.items()\nassert f({}) != []",
    ),
    "dates": (
        "import datetime\ndef f(day, days=1): return day + datetime.timedelta(days)",
        "assert f(datetime.date(2024, 2, 28)) == datetime.date(2024, 2, 29)\n"
        "assert f(datetime.datetime(2024, 2, 28, 1), days=2).isoformat() == '2024-03-01T01:00:00'",
    ),
    "a standard module that the program imports": (
        "import sys\ndef f(x): return sys.getsizeof(x)",
        "assert f((1, 2)) == sys.getsizeof((1, 2))",
    ),
    "an object named as a standard module is": (
        "class random:\n    size = 3\nclass copy:\n    def __init__(self, x): self.x = x\n    copy = 4",
        "assert random.size == 3\nassert copy(2).x == 2\nassert copy.copy == 4",
    ),
    "nothing but a program": ("assert __name__ == '__main__'", ""),
}


@pytest.fixture(scope="module")
def box():
    with Sandbox(1, require="any") as made:
        if made.label != LABEL_BUBBLEWRAP:
            pytest.skip(f"this machine has no strong sandbox: {made.label}")
        yield made


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_program_passes(name, box):
    source, tests = HONEST[name]
    assert box.run(Program(source, tests), SandboxLimits(wall_seconds=20)).reason == "passed"


def test_a_test_that_gives_a_function_of_its_own_is_named(box):
    program = Program("def f(act): return act(1)", "assert f(lambda x: x) == 1")
    assert box.run(program, SandboxLimits(wall_seconds=20)).reason == "raised TypeError"


def test_a_prompt_that_is_no_program_of_its_own_gives_nothing(box):
    tests = "def check(candidate):\n    assert candidate(2) == 4\n\ncheck(f)\n"
    for given in ("def f(x):\n", "def f(x):\n    ...\nraise OSError\n"):
        source = "def f(x):\n    return 2 * x\n"
        assert box.run(Program(source, tests, given, "f"), SandboxLimits(wall_seconds=20)).passed
