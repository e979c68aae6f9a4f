"""The sandbox: what a start and a program cost, how many programs a second by workers, beside bare subprocesses.

    python performance/sandbox.py [--workers 1 2 4] [--programs 60] [--rounds 3]

A program is a function and a test of HumanEval's form with three assertions. `bare` starts `python -I -S` anew for each
program and its test in one process, without limits or walls. All are measured in turn in each round, so that a load of
the machine meets all; medians over rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mixlab.config.scorers import SandboxLimits
from mixlab.evaluation.sandbox import Program, Sandbox

LIMITS = SandboxLimits(wall_seconds=60)
SOURCE = "def add_{number}(a, b):\n    return a + b + {number}\n"
TESTS = """
def check(candidate):
    assert candidate(1, 2) == 3 + {number}
    assert candidate(0, 0) == {number}
    assert candidate(-5, 5) == {number}

check(add_{number})
"""


def build_programs(count: int, first: int) -> list[Program]:
    """Return programs that are all different: equal ones are run once."""
    numbers = range(first, first + count)
    return [Program(SOURCE.format(number=one), TESTS.format(number=one), entry_point=f"add_{one}") for one in numbers]


def run_bare(program: Program) -> bool:
    """Run a program and its tests in a Python of its own, with nothing around it."""
    command = [sys.executable, "-I", "-S", "-c", program.source + program.tests]
    return subprocess.run(command, capture_output=True, env={}, timeout=60).returncode == 0


def measure(act: Callable[[], object]) -> float:
    """Return the seconds that an act takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Round:
    """Seconds of one round: a start until the first verdict, one program, one bare one, all programs by workers."""

    start: float
    program: float
    bare: float
    side_by_side: dict[int, float]
    bare_side_by_side: dict[int, float]


def check(passed: Iterable[bool]) -> None:
    """Raise RuntimeError where one of these programs, which are all right, did not pass."""
    if not all(passed):
        raise RuntimeError("a right program did not pass")


def measure_side_by_side(programs: list[Program], workers: int) -> float:
    """Return the seconds that warm workers take for all programs."""
    with Sandbox(workers) as sandbox:
        check(one.passed for one in sandbox.run_all(build_programs(2 * workers, 90_000_000), LIMITS))
        return measure(lambda: check(one.passed for one in sandbox.run_all(programs, LIMITS)))


def measure_round(workers: Sequence[int], programs: int, number: int) -> Round:
    """Measure everything once."""
    given = build_programs(programs, number * 100_000)
    made: list[Sandbox] = []
    start = measure(lambda: made.append(Sandbox(1)) or made[0].run(given[0], LIMITS))
    with made[0] as one:
        alone = statistics.median(measure(lambda program=program: one.run(program, LIMITS)) for program in given)
    bare = statistics.median(measure(lambda program=program: run_bare(program)) for program in given)
    side_by_side = {}
    bare_side_by_side = {}
    for at, count in enumerate(workers, 1):
        fresh = build_programs(programs, number * 100_000 + at * 1000)
        side_by_side[count] = measure_side_by_side(fresh, count)
        with ThreadPoolExecutor(count) as pool:
            bare_side_by_side[count] = measure(lambda pool=pool, fresh=fresh: check(pool.map(run_bare, fresh)))
    return Round(start, alone, bare, side_by_side, bare_side_by_side)


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--programs", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with Sandbox(1) as sandbox:
        label = sandbox.label
    rounds = [measure_round(asked.workers, asked.programs, number) for number in range(asked.rounds)]
    told = {
        "label": label,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "start_ms": 1000 * statistics.median(one.start for one in rounds),
        "program_ms": 1000 * statistics.median(one.program for one in rounds),
        "bare_program_ms": 1000 * statistics.median(one.bare for one in rounds),
        "program_to_bare": statistics.median(one.program / one.bare for one in rounds),
        "programs_per_second": {
            count: asked.programs / statistics.median(one.side_by_side[count] for one in rounds)
            for count in asked.workers
        },
        "bare_programs_per_second": {
            count: asked.programs / statistics.median(one.bare_side_by_side[count] for one in rounds)
            for count in asked.workers
        },
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
