"""Code that must pass the item's tests: HumanEval, JHumanEval, MBPP and the demo's one-line functions.

A record of HumanEval, its docstring and tests shortened: {"task_id": "HumanEval/2", "prompt":
"def truncate_number(number: float) -> float:\\n    'Given a positive floating point number, ...'\\n", "entry_point":
"truncate_number", "canonical_solution": "    return number % 1.0\\n", "test":
"def check(candidate):\\n    assert candidate(3.5) == 0.5\\n"}.

A record of MBPP: {"task_id": 2, "text": "Write a function to find the similar elements from the given two tuple
lists.", "code": "def similar_elements(...): ...", "test_list": ["assert similar_elements(...) == (4, 5)", ...],
"test_setup_code": ""}: its tests are statements, run as they are against the response, behind the set-up code (`tests:
asserts`), which in two items builds objects of a class that the response defines.

form completion: prompt + response is the program; test + check(entry_point) is run against it in another process. form
program: the response, or the first fenced block in it, without common indentation takes the place of prompt + response.
An item whose prompt and reference solution together are not Python is one that nobody can solve: JHumanEval/64 lacks
the line break before its `def`.
"""

import re
import textwrap
from collections.abc import Sequence

from mixlab.config.machine import SandboxRequirement
from mixlab.config.scorers import PythonTestsSettings
from mixlab.evaluation.sandbox import Program, Sandbox
from mixlab.evaluation.scorers.score import Pair, Score, Scored, describe_silence, read_text
from mixlab.generation.prompts import is_python, repair_python_prompt

_OPENED = re.compile(
    r"^[ \t]*(?P<fence>`{3,}+|~{3,}+)[^\n`]*\n|(?<!`)(?P<inline>`{3,}+)[A-Za-z0-9]*[ \t]*\r?\n", re.MULTILINE
)

_BYTE_ORDER_MARK = "\ufeff"

NOT_PYTHON = "prompt and reference solution together are not valid Python, so no response can pass"


def cut_code(settings: PythonTestsSettings, response: str) -> str:
    """Return the code of a response: its first fenced block where it stands alone, cut at the first stop string.

    A byte order mark before it is left out.
    """
    code = response.removeprefix(_BYTE_ORDER_MARK)
    if settings.form == "program":
        code = textwrap.dedent(_take_block(code).removeprefix(_BYTE_ORDER_MARK))
    ends = [at for stop in settings.stop if (at := code.find(stop)) >= 0]
    return code[: min(ends)] if ends else code


def _take_block(text: str) -> str:
    """Return what the first block between ``` or ~~~ holds, up to the end where it is never closed; else all of it."""
    opened = _OPENED.search(text)
    if opened is None:
        return text
    fence = opened["fence"] or opened["inline"]
    closed = re.compile(rf"^[ \t]*{fence}|{fence}[ \t]*\r?$", re.MULTILINE).search(text, opened.end())
    return text[opened.end() : closed.start() if closed else len(text)]


def build_start(settings: PythonTestsSettings, pair: Pair) -> str:
    """Return what stands before the response's code: the prompt of a completion, as published or repaired."""
    if settings.form == "program":
        return ""
    prompt = read_text(pair[0], settings.prompt_field)
    return repair_python_prompt(prompt) if settings.repair_prompts else prompt


def build_program(settings: PythonTestsSettings, pair: Pair, code: str) -> Program:
    """Return the program to be run and the tests that decide; what the prompt defines, the tests have of their own."""
    item = pair[0]
    test = read_text(item, settings.test_field)
    start = build_start(settings, pair)
    program = f"{start}{code}\n"
    if settings.tests == "asserts":
        setup = read_text(item, settings.setup_field) if settings.setup_field is not None else ""
        return Program(program, f"{setup}\n\n{test}\n", given=start)
    entry_point = read_text(item, settings.entry_point_field)
    return Program(program, f"{test}\n\ncheck({entry_point})\n", given=start, entry_point=entry_point)


def find_unsolvable(settings: PythonTestsSettings, pairs: Sequence[Pair]) -> dict[str, str]:
    """Return the items that no response can solve, with the reason; empty where references are not given."""
    field = settings.reference_field
    return {
        pair[1].item: NOT_PYTHON
        for pair in pairs
        if field is not None and field in pair[0]
        if not is_python(build_start(settings, pair) + read_text(pair[0], field))
    }


def score_python_tests(
    settings: PythonTestsSettings, pairs: Sequence[Pair], workers: int, require: SandboxRequirement = "any"
) -> Scored:
    """Score each response 1 when its program passes in the sandbox, else 0; `workers` programs run at a time.

    Raises UserError where the sandbox that can be had here is not what `require` asks for.
    """
    codes = [cut_code(settings, response.responses[-1]) for _, response in pairs]
    programs = [build_program(settings, pair, code) for pair, code in zip(pairs, codes, strict=True)]
    with Sandbox(workers, require=require) as sandbox:
        outcomes = sandbox.run_all(programs, settings.limits)
    scores = [
        Score(
            item=response.item,
            score=float(outcome.passed and code.strip() != ""),
            parsed=code.strip() != "",
            extracted=code or None,
            note=describe_silence(response) or outcome.reason,
        )
        for (_, response), code, outcome in zip(pairs, codes, outcomes, strict=True)
    ]
    return Scored(scores, find_unsolvable(settings, pairs), sandbox.label)
