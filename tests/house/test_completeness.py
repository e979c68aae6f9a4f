"""Every stage of the table plan/stages.py is everywhere a stage must be; what is missing is named."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest
import yaml

from mixlab.config.base import Settings
from mixlab.plan import specs
from mixlab.plan.stages import STAGE_OF_SPEC, STAGES

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST_DOORMAT = 40
CURE = "docs/adding-a-stage.md says how"


def read(name: str) -> str:
    path = REPOSITORY / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def find_missing(stage: str) -> list[str]:
    """Name what a stage lacks."""
    rules = "\n".join(path.read_text() for path in sorted((REPOSITORY / "rules").glob("*.smk")))
    doormat = read(f"workflow/scripts/{stage}.py")
    lines = doormat.count("\n")
    host = importlib.util.find_spec(f"mixlab.stages.{stage}")
    has_run = host is not None and "def run(" in Path(host.origin or "").read_text()
    dvc = yaml.safe_load(read("dvc.yaml") or "{}") or {}
    checks = {
        f"a spec in plan/specs.py with `version: int`: {STAGES[stage].spec.__name__}": "version"
        in STAGES[stage].spec.model_fields,
        f"a host: src/mixlab/stages/{stage}.py with `def run(spec, inputs, out)`": has_run,
        f"a rule in rules/*.smk: `rule {stage}:`": bool(re.search(rf"^rule {stage}:", rules, re.M)),
        f"a doormat: workflow/scripts/{stage}.py": f'doorway.main("{stage}"' in doormat,
        f"a doormat of at most {LONGEST_DOORMAT} lines (it has {lines})": lines <= LONGEST_DOORMAT,
        f"a row in docs/architecture.md: `| `{stage}` |`": bool(
            re.search(rf"^\|\s*`{stage}`\s*\|", read("docs/architecture.md"), re.M)
        ),
        f"a stage `{stage}` in dvc.yaml": stage in dvc.get("stages", {}),
    }
    return [what for what, is_there in checks.items() if not is_there]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_all_it_needs(stage: str) -> None:
    missing = find_missing(stage)
    assert not missing, f"stage '{stage}' lacks, and {CURE}:\n  " + "\n  ".join(missing)


def test_every_spec_belongs_to_one_stage() -> None:
    classes = {kind for _, kind in inspect.getmembers(specs, inspect.isclass) if issubclass(kind, specs.Spec)}
    assert set(STAGE_OF_SPEC) == classes - {specs.Spec}
    assert len(STAGE_OF_SPEC) == len(STAGES)
    assert all(issubclass(kind, Settings) for kind in classes)


def test_no_host_doormat_or_rule_is_of_a_stage_that_is_not_in_the_table() -> None:
    modules = (REPOSITORY / "src/mixlab/stages").glob("*.py")
    hosts = {path.stem for path in modules if "\ndef run(" in path.read_text(encoding="utf-8")}
    doormats = {path.stem for path in (REPOSITORY / "workflow/scripts").glob("*.py")}
    assert hosts <= set(STAGES)
    assert doormats == set(STAGES)


def test_a_host_does_little_itself() -> None:
    """Hosts are where plan meets expert, 25 to 60 lines each."""
    long = {stage: lines for stage in STAGES if (lines := read(f"src/mixlab/stages/{stage}.py").count("\n")) > 90}
    assert not long, f"move the work into an expert below stages/: {long}"
