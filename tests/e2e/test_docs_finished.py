"""What the documents say of a finished study, compared with one that was really run."""

import re
import sys
from pathlib import Path

from checkouts import run_mixlab

from mixlab.plan.stages import STAGES

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/house"))
from docs_blocks import Command, find_difference, read_commands, run_command  # noqa: E402


def blur(line: str) -> str:
    """Leave out of a line what another processor may compute: numbers, and how wide they are."""
    return re.sub(r"\s+", " ", re.sub(r"\d+\.\d+", "N", line)).strip()


def test_readme_shows_a_finished_study_as_it_is(finished: Path) -> None:
    commands = {one.text: one for one in read_commands(REPOSITORY / "README.md")}
    shown = commands["mixlab show micro"]
    said = "".join(f"{blur(line)}\n" for line in run_mixlab(finished, "show", "micro").splitlines())
    assert not find_difference(Command(shown.block, shown.text, tuple(map(blur, shown.printed))), said)

    label = "even/mixture_seed 1/mixture"
    explained = commands[f"mixlab explain '{label}'"]
    # the finished study of these tests is under no DVC, so it has no pointers
    here = tuple(line for line in explained.printed if "tracked/" not in line)
    said = run_mixlab(finished, "explain", label)
    assert not find_difference(Command(explained.block, explained.text, here), said)


def test_the_document_explains_why_something_would_run(study: Path) -> None:
    identity = "-c user.name=Hanako -c user.email=hanako@lab.example"
    run_command(study, f"git init -q && git add config.yaml studies sources.lock && git {identity} commit -qm begin")
    commands = read_commands(REPOSITORY / "docs/explain.md")
    assert len(commands) == 4
    for command in commands:
        said = run_command(study, command.text.replace("git commit", f"git {identity} commit"))
        difference = find_difference(command, said)
        assert not difference, difference


def test_the_table_of_stages_names_the_files_of_every_artifact(finished: Path) -> None:
    text = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    for stage in STAGES:
        row = re.search(rf"^\| `{stage}` \|.*$", text, re.M)
        assert row is not None
        cell = row[0].rpartition(" | ")[2]
        # behind a semicolon stands what only some artifacts have
        always, named = (set(re.findall(r"`([\w.-]+?)/?`", part)) for part in (cell.partition("; ")[0], cell))
        there = {path.name for path in (finished / "artifacts" / stage).glob("*/*")} - {"manifest.json"}
        if stage == "ipt":
            there = {name for name in there if name in ("last-00", "training_log.csv")}
        # the study of these tests reads no base model, and its judge is a rule, which cannot compare
        assert (there == set()) == (stage in ("base_model", "judge_pairs"))
        assert not there or always <= there <= named, stage
