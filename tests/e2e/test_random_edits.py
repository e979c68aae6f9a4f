"""Twenty random edits, really run: Snakemake makes what the oracle says, and nothing that was there is touched."""

import hashlib
import random
from itertools import islice
from pathlib import Path

import pytest
import yaml
from checkouts import list_made
from oracle_models import expect, foresee, list_missing
from randomly import COUNTS, SEED, Bench, list_edits
from runs import is_finished, run_all

SHARES = {"ipt": 8, "mixture": 2, "sft": 3, "evaluation": 4, "nothing": 3}
"""What an edit reaches -> how many such edits are run: about as often as among all of them."""
NOT_RUN = {"content", "places"}
"""Digests and paths that no file here has: `tests/e2e/test_edits.py` edits and moves real files."""

Edit = tuple[tuple[str, ...], str]


def choose_edits(bench: Bench, kind: str) -> list[Edit]:
    """Draw edits of one kind at random from those that are planned every day."""
    edits = [one for one in list_edits("micro", COUNTS["micro"]) if not NOT_RUN & set(one[0])]
    random.Random(SEED).shuffle(edits)
    return list(islice((one for one in edits if find_kind(bench, one) == kind), SHARES[kind]))


def find_kind(bench: Bench, one: Edit) -> str:
    """What an edit reaches: training from the base model on, a mixture at most, SFT, what lies below it, or nothing."""
    draft, text = bench.draft(*one)
    after, report = foresee(bench.name, yaml.load(text, yaml.CSafeLoader), draft.lock)
    stages = {after.made[identity].stage for identity in list_missing(bench.oracle.made, after, report)}
    return next((kind for kind in ("ipt", "mixture", "sft") if kind in stages), "evaluation" if stages else "nothing")


def digest_all(root: Path) -> dict[str, tuple[int, str]]:
    """When each file of an artifact was written, and what is in it."""
    files = [path for path in (root / "artifacts").rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", SHARES)
def test_random_edits_make_what_the_oracle_says_and_touch_nothing_else(study: Path, kind: str) -> None:
    bench = Bench(study, "micro")
    chosen = choose_edits(bench, kind)
    assert len(chosen) == SHARES[kind]
    bench.draft((), "")
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
