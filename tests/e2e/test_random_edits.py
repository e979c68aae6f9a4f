"""Twenty random edits, really run: Snakemake makes what the oracle says, and nothing that was there is touched."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from checkouts import list_made
from oracle_models import expect, foresee, list_missing
from randomly import Bench, list_edits
from runs import is_finished, run_all

COUNT = 20
MOST = {0: 5, 8: 13, 30: 2}
"""Artifacts that an edit makes at most -> how many such edits: most make few, so that all together take minutes."""
NOT_RUN = {"content", "places"}
"""Digests and paths that no file here has: `tests/e2e/test_edits.py` edits and moves real files."""

Edit = tuple[tuple[str, ...], str]


def choose_edits(bench: Bench) -> Iterator[Edit]:
    """Choose edits of several parts from those that would be planned next: most of them make little."""
    left = dict(MOST)
    for names, seed in list_edits("micro", 1500):
        if len(names) == 1 or NOT_RUN & set(names):
            continue
        draft, text = bench.draft(names, seed)
        after, report = foresee(bench.name, yaml.load(text, yaml.CSafeLoader), draft.lock)
        size = len(list_missing(bench.oracle.made, after, report))
        kind = next((most for most in MOST if size <= most), None)
        if kind is not None and left[kind]:
            left[kind] -= 1
            yield names, seed


def digest_all(root: Path) -> dict[str, tuple[int, str]]:
    """When each file of an artifact was written, and what is in it."""
    files = [path for path in (root / "artifacts").rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_random_edits_make_what_the_oracle_says_and_touch_nothing_else(study: Path) -> None:
    bench = Bench(study, "micro")
    chosen = [edit for _, edit in zip(range(COUNT), choose_edits(bench), strict=False)]
    assert len(chosen) == COUNT
    finished, wrong = set(bench.oracle.made), list[str]()
    for names, seed in chosen:
        draft, text = bench.draft(names, seed)
        after, report = foresee(bench.name, yaml.load(text, yaml.CSafeLoader), draft.lock)
        expected, missing = expect(finished, after, report), list_missing(finished, after, report)
        before, made_before = digest_all(study), list_made(study)
        run_all(study)
        made, plan = list_made(study) - made_before, bench.plan()
        labels = {(stage, label) for stage, key in made for label in plan.nodes[key].labels}
        now = digest_all(study)
        if labels != expected:
            wrong.append(f"{names} {seed}: made {sorted(labels - expected)}, not made {sorted(expected - labels)}")
        wrong += [f"{names} {seed}: touched {path}" for path, was in before.items() if now.get(path) != was]
        finished |= missing
        bench.draft((), seed)
        if not is_finished(study) or list_made(study) != made_before | made:
            wrong.append(f"{names} {seed}: undone, it makes something")
        print(f"{', '.join(names)}: {len(made)} made")
    assert wrong == []
