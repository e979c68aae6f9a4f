"""What would stop or fill the machine: each ends at its own limit, with that limit's name."""

import time

import pytest

CPU, WALL, OUTPUT, TOGETHER = "limit cpu_seconds", "limit wall_seconds", "limit output_bytes", "limit memory_bytes"
NO_MEMORY, NO_ROOM, NO_PROCESS = "raised MemoryError", "raised OSError", "raised BlockingIOError"

ATTACKS = {
    "one large object": ("x = bytearray(10 ** 9)", NO_MEMORY, {}),
    "many small objects": ("x = []\nwhile True: x.append(bytearray(10 ** 6))", NO_MEMORY, {"cpu_seconds": 10}),
    "anonymous mapping": ("import mmap; mmap.mmap(-1, 10 ** 9)", NO_ROOM, {}),
    "many processes that take as much as one may": (
        """
import os, time
for _ in range(6):
    if os.fork() == 0:
        x = bytearray(os.urandom(1)) * (100 * 2 ** 20)
        time.sleep(15)
time.sleep(15)
""",
        TOGETHER,
        {"memory_bytes": 160 * 2**20, "cpu_seconds": 10},
    ),
    "many processes that share a mapping each": (
        """
import mmap, os, time
for _ in range(6):
    if os.fork() == 0:
        x = mmap.mmap(-1, 100 * 2 ** 20)
        for _ in range(100): x.write(b'x' * 2 ** 20)
        time.sleep(15)
while True:
    print('.', flush=True)
    time.sleep(0.01)
""",
        TOGETHER,
        {"memory_bytes": 160 * 2**20, "cpu_seconds": 10},
    ),
    "memory that no process holds": (
        """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.shmget(0, ctypes.c_size_t(2 ** 28), 0o1600) < 0:
    raise OSError(ctypes.get_errno(), 'shmget')
""",
        NO_ROOM,
        {},
    ),
    "a file in memory": ("import os; os.memfd_create('x')", NO_ROOM, {}),
    "a bomb of compressed zeros": (
        "import zlib\nx = zlib.compress(bytes(10 ** 7))\ny = zlib.decompress(x) * 100",
        NO_MEMORY,
        {},
    ),
    "a bomb of unicode": ("x = '\\U0010ffff' * 10 ** 9", NO_MEMORY, {}),
    "a bomb of normal forms": (
        "import unicodedata\nx = '\\ufdfa' * 10 ** 7\nwhile True: x = unicodedata.normalize('NFKC', x) * 2",
        NO_MEMORY,
        {"cpu_seconds": 10},
    ),
    "a large file": (
        "with open('/tmp/x', 'wb') as f:\n    for _ in range(9): f.write(b'x' * 2 ** 19); f.flush()",
        NO_ROOM,
        {},
    ),
    "a file with a hole": ("import os; os.truncate(os.open('/tmp/x', os.O_CREAT | os.O_RDWR), 2 ** 40)", NO_ROOM, {}),
    "many files": ("for n in range(200):\n    with open(f'/tmp/{n}', 'wb') as f: f.write(b'x' * 2 ** 19)", NO_ROOM, {}),
    "many empty files": ("import os\nfor n in range(10 ** 6): os.mknod(f'/tmp/{n}')", NO_ROOM, {"cpu_seconds": 10}),
    "many folders, one in another": (
        "import os\nwhile True: os.mkdir('d'); os.chdir('d')",
        NO_ROOM,
        {"cpu_seconds": 10},
    ),
    "many open files": ("x = [open('/dev/null') for _ in range(10 ** 6)]", NO_ROOM, {}),
    "threads without end": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(15,)).start()",
        "raised RuntimeError",
        {"cpu_seconds": 10},
    ),
    "a fork bomb that stops at the first refusal": ("import os\nwhile True: os.fork()", NO_PROCESS, {}),
    "a fork bomb that does not": (
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        WALL,
        {"wall_seconds": 1, "cpu_seconds": 20},
    ),
    "a loop": ("while True: pass", CPU, {}),
    "one operation that takes years": ("x = 10 ** 10 ** 9", CPU, {}),
    "a pattern that takes years": ("import re; re.match(r'(a+)+$', 'a' * 60 + 'b')", CPU, {}),
    "a loop that ignores the signal of the limit": (
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        CPU,
        {},
    ),
    "sleeping": ("import time; time.sleep(60)", WALL, {"wall_seconds": 0.5}),
    "waiting for a signal that is blocked": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nsignal.pause()",
        WALL,
        {"wall_seconds": 0.5},
    ),
    "much output": ("while True: print('x' * 1000)", OUTPUT, {}),
    "much output without a line's end": ("import sys\nwhile True: sys.stdout.write('x' * 1000)", OUTPUT, {}),
    "much error output": ("import sys\nwhile True: sys.stderr.write('x')", OUTPUT, {}),
    "much output of a child": (
        "import os\nif os.fork() == 0:\n    while True: os.write(2, b'x' * 1000)\nimport time; time.sleep(15)",
        OUTPUT,
        {},
    ),
    "output that is no text": ("import os\nwhile True: os.write(1, b'\\xff\\x00' * 1000)", OUTPUT, {}),
    "a number of a million digits": (
        "import sys\nsys.set_int_max_str_digits(0)\nprint(1 << 400_000)",
        OUTPUT,
        {"cpu_seconds": 20},
    ),
    "recursion": ("def f(): f()\nf()", "raised RecursionError", {}),
    "recursion in C": (
        "import sys\nsys.setrecursionlimit(10 ** 9)\nclass E:\n    def __repr__(self): return repr(E())\nrepr(E())",
        "killed SIGSEGV",
        {"cpu_seconds": 20},
    ),
    "a crash of the interpreter": ("import ctypes; ctypes.string_at(0)", "killed SIGSEGV", {}),
    "an exception with a text of a gigabyte": (
        "class E(Exception):\n    def __str__(self): return 'x' * 10 ** 9\nraise E",
        "raised E",
        {},
    ),
    "an exception that cannot be told": (
        "class E(Exception):\n    def __str__(self): raise SystemExit\n    __repr__ = __str__\nraise E",
        "raised E",
        {},
    ),
}


LONG = {
    "a loop that ignores the signal of the limit",
    "one operation that takes years",
    "a pattern that takes years",
    "a bomb of normal forms",
    "answers without end",
    "an answer that asks for years of work",
}
"""These end at one or two seconds of processor time each; the short suite keeps others that do."""


def mark_long(names):
    return [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in names]


@pytest.mark.parametrize("name", mark_long(ATTACKS))
def test_a_limit_ends_it(name, attack):
    source, reason, limits = ATTACKS[name]
    assert attack(source, **limits) == reason


ANSWERS = {
    "answers without end": ("def answer(n):\n    while True: yield n", CPU, {"wall_seconds": 200}),
    "an answer of a gigabyte": ("def answer(n): return 'x' * 10 ** 9", NO_MEMORY, {}),
    "an answer longer than any message": (
        "def answer(n): return 'x' * (40 * 2 ** 20)",
        "answered what cannot be read: a message of ",
        {},
    ),
    "an answer that holds itself": (
        "def answer(n):\n    x = []\n    x.append(x)\n    return x",
        "raised RecursionError",
        {},
    ),
    "an answer of a million digits": ("def answer(n): return [1 << 10 ** 6]", "raised AssertionError", {}),
    "an answer that never comes": ("def answer(n):\n    while True: pass", CPU, {}),
    "an answer that asks for years of work": ("def answer(n): return range(10 ** 15)", CPU, {"wall_seconds": 30}),
}


@pytest.mark.parametrize("name", mark_long(ANSWERS))
def test_no_answer_harms_the_tests(name, attack):
    source, reason, limits = ANSWERS[name]
    collect = "def check(candidate):\n    assert 42 in list(candidate(6))\n\ncheck(answer)\n"
    if "years" in name:
        collect = "def check(candidate):\n    assert all(one != 42.5 for one in candidate(6))\n\ncheck(answer)\n"
    assert attack(source, tests=collect, solution="", **limits).startswith(reason)


def test_a_hung_program_is_ended_in_time(attack):
    start = time.monotonic()
    assert (
        attack("import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass", wall_seconds=1)
        == WALL
    )
    assert time.monotonic() - start < 10
