"""The process that compares mathematical answers, apart from everything else: what a model wrote may never end.

Started as `python -I -B math_worker.py`; it knows nothing of mixlab. One line of JSON in, {"reference", "answer"}, both
LaTeX; one out, {"equal"}. The reader and comparer is the library Math-Verify, with its LaTeX grammar alone: its other
reader (`ExprExtractionConfig`) hands text to sympy's `parse_expr`, which evaluates it as Python. The parent ends a
process that takes too long; memory and files are the kernel's limits.
"""

import json
import logging
import resource
import signal
import sys

MEMORY_BYTES = 4 * 2**30
_ORPHAN_SECONDS = 120


def limit_process() -> None:
    """Let this process write no file and take no more memory than `MEMORY_BYTES`."""
    for which, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        ceiling = resource.getrlimit(which)[1]
        top = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
        resource.setrlimit(which, (top, top))


def serve() -> None:
    """Answer the pairs on standard input until it ends."""
    logging.disable(logging.CRITICAL)
    limit_process()
    from math_verify import LatexExtractionConfig, parse, verify

    grammar = [LatexExtractionConfig(boxed_match_priority=0)]

    def read(text: str) -> list[object]:
        return list(parse(rf"$\boxed{{{text}}}$", extraction_config=grammar, parsing_timeout=None))

    for line in sys.stdin:
        pair = json.loads(line)
        # ends this process, whatever it is doing, where the parent is no more
        signal.alarm(_ORPHAN_SECONDS)
        try:
            equal = verify(read(pair["reference"]), read(pair["answer"]), timeout_seconds=None)
        except (MemoryError, RecursionError):
            equal = False
        signal.alarm(0)
        print(json.dumps({"equal": bool(equal)}), flush=True)  # noqa: T201 (the answer on the pipe)


if __name__ == "__main__":
    serve()
