"""What one program leaves for the next, and what the next finds of the one before: nothing."""

import pytest

from mixlab.config.scorers import SandboxLimits
from mixlab.evaluation.sandbox import Program

LIMITS = SandboxLimits(wall_seconds=20, processes=8)

LEFT = {
    "a file": ("open('/tmp/x', 'w').write('x')", "import os; assert os.listdir('/tmp') == []"),
    "a changed working folder": (
        "import os; os.mkdir('/tmp/a'); os.chdir('/tmp/a')",
        "import os; assert os.getcwd() == '/tmp'",
    ),
    "a file mode mask": ("import os; os.umask(0o777)", "import os; assert os.umask(0) != 0o777"),
    "a variable of the environment": ("import os; os.environ['X'] = '1'", "import os; assert 'X' not in os.environ"),
    "a patched module": ("import string; string.digits = ''", "import string; assert string.digits"),
    "a patched builtin": ("import builtins; builtins.sum = None", "assert sum([]) == 0"),
    "a module": ("import sys; sys.modules['x'] = sys", "import sys; assert 'x' not in sys.modules"),
    "an abstract socket": (
        "import os, socket, time\ns = socket.socket(socket.AF_UNIX); s.bind('\\0left'); s.listen()\n"
        "if os.fork() == 0:\n    os.setsid(); time.sleep(60)",
        "import socket\ns = socket.socket(socket.AF_UNIX)\n"
        "try: s.connect('\\0left')\nexcept ConnectionRefusedError: pass\nelse: assert False",
    ),
    "a process": (
        "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        os.setsid(); time.sleep(60)",
        "import os, time\nfor _ in range(5):\n    if os.fork() == 0: os._exit(0)",
    ),
    "a signal handler": (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "import signal; assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL",
    ),
    "a lower limit": (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
        "open('/tmp/x', 'w').write('x')",
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_nothing_is_left_for_the_next(name, box):
    first, second = LEFT[name]
    assert [box.run(one, LIMITS).reason for one in (first, second)] == ["passed", "passed"]


SEARCH = """
import ctypes, gc, sys
libc = ctypes.CDLL(None)
libc.memmem.restype = ctypes.c_void_p
libc.memmem.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)
spare = [str(number) * 5 for number in range(9999)]
pages = {id(one) & ~0xfff for one in (*gc.get_objects(), *spare)}

def look(hidden):
    mark = bytes(code ^ 1 for code in hidden)
    own = range(id(mark), id(mark) + sys.getsizeof(mark))
    found = (libc.memmem(page, 4096, mark, len(mark)) for page in pages)
    return any(one is not None and one not in own for one in found)

assert look(bytes(code ^ 1 for code in b'4242' * 5)), 'the control was not found'
raise LookupError if not look(HIDDEN) else ValueError
"""


def test_the_program_before_and_its_tests_cannot_be_found_in_memory(box):
    """Every page with an object of Python's on it is searched, by address; a text of its own is found so."""
    mark = "a sentence of the program before and of its tests"
    first = Program(f"x = {mark!r}", f"assert x == {mark!r}")
    search = SEARCH.replace("HIDDEN", repr(bytes(code ^ 1 for code in mark.encode())))
    assert [box.run(one, LIMITS).reason for one in (first, search)] == ["passed", "raised LookupError"]


def test_its_own_tests_cannot_be_found_in_memory(box):
    mark = "a sentence of these tests"
    search = SEARCH.replace("HIDDEN", repr(bytes(code ^ 1 for code in mark.encode())))
    program = Program(
        search.replace("raise LookupError if not", "found =").replace(" else ValueError", ""),
        f"assert found == {mark!r}",
    )
    assert box.run(program, LIMITS).reason == "raised AssertionError"
    assert box.run(Program(program.source, f"{mark!r}\nassert found is False"), LIMITS).passed
