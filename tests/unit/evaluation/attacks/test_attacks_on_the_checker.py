"""The verdict: whatever the code does to the process it runs in, it cannot make a wrong answer pass."""

import pytest

from mixlab.config.scorers import SandboxLimits
from mixlab.evaluation.sandbox import Program

WRONG, LEFT = "raised AssertionError", "left before its end"
FORGED = """
import json, os, struct
def forge(value):
    data = json.dumps(value).encode()
    return len(data).to_bytes(8, 'big') + data
"""

ON_DEFINITION = {
    "leave with status 0": ("import os; os._exit(0)", LEFT),
    "exit with status 0": ("import sys; sys.exit(0)", "raised SystemExit"),
    "raise SystemExit itself": ("raise SystemExit(0)", "raised SystemExit"),
    "raise a subclass of SystemExit": ("class passed(SystemExit): pass\nraise passed", "raised passed"),
    "raise what is no Exception": ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
    "raise an exception named like the verdict": ("raise type('passed', (Exception,), {})", "raised passed"),
    "raise an exception whose name is a verdict line": (
        "raise type('X\\npassed', (Exception,), {})",
        "raised Exception",
    ),
    "print the verdict": ("print('passed', flush=True)", WRONG),
    "write the verdict to every descriptor": (
        """
import os
for descriptor in range(1, 1024):
    try:
        os.write(descriptor, b'passed')
    except OSError:
        pass
""",
        "answered what cannot be read: a message of ",
    ),
    "write the verdict to every descriptor and leave": (
        "import os\nfor descriptor in (1, 2, 4):\n    os.write(descriptor, b'passed')\nos._exit(0)",
        LEFT,
    ),
    "give the verdict as an answer": (FORGED + "os.write(4, forge('passed'))\nos._exit(0)", "answered what "),
    "say that the sandbox failed": (
        FORGED + "os.write(4, forge('sandbox did not answer: no memory'))\nos._exit(0)",
        "answered what cannot be read",
    ),
    "answer before being asked, then leave": (
        FORGED + "os.write(4, forge({'value': None, 'changed': []}) * 20)\nos._exit(0)",
        "",
    ),
    "change arguments that cannot change": (
        FORGED + "os.write(4, forge({'value': None, 'changed': [[0, 1]]}))",
        "answered what cannot be read",
    ),
    "send a message that is not JSON": ("import os; os.write(4, (4).to_bytes(8, 'big') + b'{{{{')", "answered what "),
    "send a message of a thousand lists": (
        "import os\nx = b'[' * 10 ** 5 + b']' * 10 ** 5\nos.write(4, len(x).to_bytes(8, 'big') + x)",
        "answered what ",
    ),
    "read the tests from the channel, which gives no more than questions": (
        "import os\nos.set_blocking(3, False)\nassert b'42' not in os.read(3, 10 ** 6)",
        "raised BlockingIOError",
    ),
    "close the channel and go on": ("import os, time\nos.close(4)\ntime.sleep(15)", LEFT),
    "have a child answer in its place": (
        FORGED
        + """
if os.fork() == 0:
    while True:
        size = int.from_bytes(os.read(3, 8), 'big')
        os.read(3, size)
        os.write(4, forge({'value': 0, 'changed': []}))
os._exit(0)
""",
        "",
    ),
    "patch AssertionError": ("import builtins\nbuiltins.AssertionError = type('A', (Exception,), {})", WRONG),
    "make AssertionError harmless": (
        "import ctypes\nctypes.pythonapi.PyErr_SetString.restype = None\n"
        "import builtins\nbuiltins.AssertionError.__init__ = None",
        "raised TypeError",
    ),
    "patch every builtin": (
        "import builtins\nfor n in dir(builtins):\n"
        "    if n[0].islower() and n not in ('setattr', 'dir'): setattr(builtins, n, lambda *a, **b: 42)",
        "",
    ),
    "patch os._exit and os.getpid": ("import os\nos._exit = os.getpid = lambda *a: 0", WRONG),
    "patch json": ("import json\njson.dumps = lambda *a: '\"passed\"'", "answered what cannot be read"),
    "define check": ("def check(candidate): pass", WRONG),
    "define check for good": ("import builtins\nbuiltins.check = lambda candidate: None", WRONG),
    "trace": (
        "import sys\ndef jump(frame, event, x):\n    if frame.f_code.co_name == 'check': frame.f_lineno += 1\n"
        "    return jump\nsys.settrace(jump)",
        WRONG,
    ),
    "profile": ("import sys\nsys.setprofile(lambda frame, event, x: None)", WRONG),
    "end well at exit": ("import atexit, os\natexit.register(lambda: os.write(4, b'passed'))", WRONG),
    "a thread that outlives": (
        "import threading, time, os\ndef late():\n    time.sleep(.05)\n    os.write(2, b'passed')\n"
        "threading.Thread(target=late).start()",
        WRONG,
    ),
    "a daemon of a double fork": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(60)\n    os._exit(0)",
        WRONG,
    ),
    "another file in place of the tests": ("open('/tmp/tests.py', 'w').write('')", WRONG),
    "kill the parent": ("import os; os.kill(os.getppid(), 9)", "raised PermissionError"),
    "kill its group": ("import os; os.killpg(0, 9)", "killed SIGKILL"),
    "kill everything": ("import os; os.kill(-1, 9)", "raised ProcessLookupError"),
    "kill every process by number": (
        "import os\nfor pid in range(1, 40000):\n    if pid != os.getpid():\n"
        "        try: os.kill(pid, 9)\n        except OSError: pass",
        WRONG,
    ),
    "kill a process of the host": ("import os; os.kill(<PID>, 9)", "raised ProcessLookupError"),
    "stop itself": ("import os; os.kill(os.getpid(), 19); import time; time.sleep(15)", "limit wall_seconds"),
    "end itself by a signal": ("import os; os.kill(os.getpid(), 15)", "killed SIGTERM"),
    "trace its parent": (
        "import ctypes, os\nif ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0): raise OSError",
        "raised OSError",
    ),
}


@pytest.mark.parametrize("name", ON_DEFINITION)
def test_no_code_that_runs_first_makes_a_wrong_answer_right(name, attack):
    source, reason = ON_DEFINITION[name]
    assert attack(source, wall_seconds=1 if "stop" in name else 20, cpu_seconds=5).startswith(reason)


EQUAL = "    def __eq__(self, other): return True\n"
ANSWERS = {
    "an object equal to everything": f"class E:\n{EQUAL}def answer(n): return E()",
    "a number equal to everything": f"class E(int):\n{EQUAL}def answer(n): return E(0)",
    "a text equal to everything": f"class E(str):\n{EQUAL}def answer(n): return E('')",
    "a list equal to everything": f"class E(list):\n{EQUAL}def answer(n): return E()",
    "an object that becomes the answer": """
class E:
    __hash__ = __int__ = __index__ = __len__ = lambda self: 42
    __eq__ = __ge__ = __le__ = lambda self, other: True
def answer(n): return E()
""",
    "a class whose class lies": f"class M(type):\n{EQUAL}class E(metaclass=M): pass\ndef answer(n): return E",
    "the caller's frames": """
def answer(n):
    import sys
    frame = sys._getframe()
    while frame:
        for names in (frame.f_locals, frame.f_globals):
            for key in list(names):
                if key in ('word', 'PASSED', 'candidate'):
                    names[key] = 42
        frame = frame.f_back
    return 0
""",
    "the right answer from the caller's code": """
def answer(n):
    import sys
    frame = sys._getframe().f_back
    while frame:
        if int('42') in frame.f_code.co_consts:
            return 42
        frame = frame.f_back
    return 0
""",
    "the right answer from the heap": """
def answer(n):
    import gc
    mark = ' '.join(['the', 'right', 'answer', 'is'])
    for one in gc.get_objects():
        try:
            if mark in repr(one):
                return 42
        except Exception:
            pass
    return 0
""",
    "a trace set in the call": """
def answer(n):
    import sys
    frame = sys._getframe().f_back
    while frame:
        frame.f_trace = lambda *a: None
        frame = frame.f_back
    sys.settrace(lambda *a: None)
    return 0
""",
    "a function in place of the tested one": """
def answer(n):
    global answer
    answer = lambda n: 42
    return 0
""",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_no_answer_is_taken_for_the_right_one(name, attack):
    assert attack(ANSWERS[name], solution="", cpu_seconds=5) == WRONG


RAISED = {
    "SystemExit in the call": ("def answer(n): raise SystemExit(0)", "raised SystemExit"),
    "leaving in the call": ("def answer(n):\n    import os\n    os._exit(0)", LEFT),
    "an exception equal to everything": (
        "class E(Exception):\n    __eq__ = lambda s, o: True\n    __str__ = lambda s: 'passed'\ndef answer(n): raise E",
        "raised E",
    ),
    "AssertionError with a lie": ("def answer(n): raise AssertionError('passed')", WRONG),
    "StopIteration": ("def answer(n): raise StopIteration(42)", "raised StopIteration"),
}


@pytest.mark.parametrize("name", RAISED)
def test_a_call_that_raises_has_failed(name, attack):
    source, reason = RAISED[name]
    assert attack(source, solution="") == reason


def test_tests_that_await_an_error_are_not_passed_by_leaving(attack):
    lenient = (
        "def check(candidate):\n    try:\n        candidate(6)\n    except Exception:\n        return\n"
        "    assert False\n\ncheck(answer)\n"
    )
    for leave in ("import os\n    os._exit(0)", "raise SystemExit(0)", "import os\n    os.write(4, b'x' * 99)"):
        assert attack(f"def answer(n):\n    {leave}\n", tests=lenient, solution="")


HELPERS = "def close(a, b):\n    return abs(a - b) < 1e-6\n\n\ndef answer(n):\n    ...\n"


def test_a_program_cannot_change_what_its_prompt_gives_the_tests(box):
    tests = "def check(candidate):\n    assert close(candidate(6), 42)\n\ncheck(answer)\n"
    wrong = HELPERS + "    return 0\n\n\ndef close(a, b):\n    return True\n"
    right = HELPERS + "    return 7.0 * n\n"
    limits = SandboxLimits(wall_seconds=20)
    given = [Program(source, tests, given=HELPERS, entry_point="answer") for source in (wrong, right)]
    assert [box.run(one, limits).reason for one in given] == ["raised AssertionError", "passed"]


def test_a_program_cannot_change_what_python_gives_the_tests(box):
    tests = "assert abs(answer(6) - 42) < 1e-6\n"
    limits = SandboxLimits(wall_seconds=20)
    wrong = "def answer(n): return 0\ndef abs(x): return 0\n"
    assert box.run(Program(wrong, tests), limits).reason == "raised AssertionError"
    # MBPP/126 asks for a function that has the name of one of Python's
    asked = Program("def sum(a, b): return 6\n", "assert sum(10, 15) == 6\nassert sum(100, 150) == 6\n")
    assert box.run(asked, limits).passed


def test_a_program_cannot_change_the_modules_that_the_tests_use(box):
    tests = "assert f((1, 2)) == sys.getsizeof((1, 2))\n"
    for forged in ("class sys: getsizeof = staticmethod(lambda x: 0)", "import sys\nsys.getsizeof = lambda x: 0"):
        program = Program(f"{forged}\ndef f(x): return 0\n", tests)
        assert box.run(program, SandboxLimits(wall_seconds=20)).reason == "raised AssertionError"
    # as published, the import is the program's to make
    assert box.run(Program("def f(x): return 56\n", tests), SandboxLimits(wall_seconds=20)).reason == "raised NameError"
