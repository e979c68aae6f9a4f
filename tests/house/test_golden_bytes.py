"""A stage that promises equal bytes makes the pinned ones, or its `version` is raised: no key ever changes meaning."""

from pathlib import Path

import pytest
from golden_bytes import Bench, Pin, find_fault, list_versions, read_golden, write_golden
from golden_bytes_cases import CASES, is_possible

from mixlab.plan.stages import STAGES
from mixlab.stages import average, pack


@pytest.mark.parametrize("name", CASES)
def test_a_stage_makes_the_pinned_bytes_or_has_another_version(name: str, tmp_path: Path) -> None:
    if not is_possible(name):
        pytest.skip("no sandbox for programs can be had here")
    fault = find_fault(name, read_golden().get(name), CASES[name](Bench(tmp_path)))
    assert not fault, fault


def test_every_stage_that_promises_equal_bytes_has_a_case() -> None:
    covered = {name.partition(":")[0] for name in CASES}
    promised = {stage.name for stage in STAGES.values() if stage.reproducible == "bytes"}
    assert covered == promised, "add a case to tests/house/golden_bytes_cases.py, or declare the stage `numeric`"


def test_nothing_is_pinned_that_no_case_makes() -> None:
    assert list(read_golden()) == sorted(CASES)


def test_two_cases_never_make_the_same() -> None:
    made = [pin.made for pin in read_golden().values()]
    assert len(made) == len(set(made))


def test_code_that_writes_another_byte_is_told_to_raise_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_more(models: tuple[Path, ...], out: Path, settings: object, **more: object) -> None:
        mean(models, out, settings, **more)
        with (out / "config.json").open("a") as file:
            file.write("\n")

    mean = average.average
    monkeypatch.setattr(average, "average", write_more)
    fault = find_fault("average", read_golden()["average"], CASES["average"](Bench(tmp_path)))
    assert "the output changed and the version did not" in fault
    assert "Raise `version` of AverageSpec in plan/specs.py" in fault
    assert "golden_bytes.py --write" in fault


def test_a_raised_version_or_another_input_asks_to_be_pinned_and_a_changed_output_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = Pin("version=1", "given", "made")
    drifted, raised = Pin("version=1", "given", "other"), Pin("version=2", "given", "other")
    names = ["pack: raw"]
    monkeypatch.setattr("golden_bytes.GOLDEN", tmp_path / "golden.json")
    assert write_golden({"pack: raw": pinned}, names) == []
    assert find_fault("pack: raw", read_golden()["pack: raw"], pinned) == ""
    (refused,) = write_golden({"pack: raw": drifted}, names)
    assert "Raise `version` of PackSpec" in refused
    assert read_golden() == {"pack: raw": pinned}
    for changed in (raised, Pin("version=1", "another", "other")):
        assert "pin it" in find_fault("pack: raw", pinned, changed)
        assert write_golden({"pack: raw": changed}, names) == []
        assert read_golden() == {"pack: raw": changed}
    assert write_golden({}, names) == []
    assert list(read_golden()) == names
    assert "not pinned" in find_fault("pack: ja", None, pinned)


def test_a_version_within_a_spec_counts_as_well() -> None:
    plain = {"version": 1, "scoring": {"scorer": "exact_match", "version": 3}, "parts": [{"version": 2}]}
    assert list(list_versions(plain)) == ["version=1", "scoring.version=3", "parts.0.version=2"]


def test_the_bench_holds_nothing_of_the_folder_it_stands_in(tmp_path: Path) -> None:
    case = CASES["mixture: tokens"]
    assert case(Bench(tmp_path / "one")) == case(Bench(tmp_path / "another 別"))


def test_a_file_beside_the_pinned_ones_changes_what_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An additional file is part of an artifact as well."""

    def write_more(*arguments: object) -> None:
        write_pack(*arguments)  # type: ignore[arg-type]
        Path(str(arguments[-1]), "stray.txt").touch()

    write_pack = pack.write_pack
    monkeypatch.setattr(pack, "write_pack", write_more)
    pin = CASES["pack: raw"](Bench(tmp_path))
    assert pin.given == read_golden()["pack: raw"].given
    assert pin.made != read_golden()["pack: raw"].made
