"""Every real data file goes through the readers as declared, without a line of code of its own."""

import ast
import hashlib
import sysconfig
from pathlib import Path

import pytest
import yaml

from mixlab.config.sources import FilesConfig, SourceConfig
from mixlab.data.sources.reading import Exclusion, read_records

DECLARED = yaml.safe_load((Path(__file__).parent / "real_sources.yaml").read_text(encoding="utf-8"))


def _located(root: Path, patterns: tuple[str, ...]) -> list[tuple[str, Path]]:
    paths = sorted(path for pattern in patterns for path in root.glob(pattern))
    assert paths, patterns
    return [(hashlib.sha256(path.read_bytes()).hexdigest(), path) for path in paths]


@pytest.mark.shared
@pytest.mark.parametrize("name", sorted(DECLARED))
def test_a_real_file_reads_as_declared(name: str, shared_data: Path) -> None:
    config = SourceConfig.model_validate(DECLARED[name]["source"])
    expect = DECLARED[name]["expect"]
    assert isinstance(config.origin, FilesConfig)
    files = _located(shared_data, config.origin.paths)
    joined = _located(shared_data, config.origin.joined.paths) if config.origin.joined else []
    settings = config.to_settings([digest for digest, _ in files], [digest for digest, _ in joined])
    excluded: list[Exclusion] = []
    records = list(read_records(settings, [*files, *joined], excluded.append))
    assert len(records) == expect["records"]
    assert len(excluded) == expect.get("excluded", 0)
    assert expect.get("first", "") in str(records[0])
    assert "absent" not in expect or not any(expect["absent"] in str(record["messages"][0:2]) for record in records)
    if "item" in expect:
        assert sorted({field for record in records for field in record}) == expect["item"]
        assert sum("reference" in record for record in records) == expect.get("joined", 0)


@pytest.mark.shared
def test_a_dolly_prompt_loses_its_wrapper_and_a_megagon_dialogue_keeps_its_turns(shared_data: Path) -> None:
    first = {}
    for name in ("dolly", "instruction_ja"):
        config = SourceConfig.model_validate(DECLARED[name]["source"])
        files = _located(shared_data, config.origin.paths)
        settings = config.to_settings([digest for digest, _ in files])
        first[name] = next(read_records(settings, files, lambda exclusion: None))["messages"]
    assert first["dolly"][0] == {"role": "user", "content": "what is kangen water?"}
    assert [turn["role"] for turn in first["instruction_ja"]] == ["user", "assistant"]


def test_the_standard_library_reads_as_one_document_a_file() -> None:
    root = Path(sysconfig.get_paths()["stdlib"])
    config = SourceConfig.model_validate(
        {
            "kind": "raw",
            "language": "en",
            "licence": "PSF-2.0",
            "origin": {"type": "files", "root": "stdlib", "paths": ["json/*.py", "base64.py"], "format": "python"},
        }
    )
    files = _located(root, config.origin.paths)
    records = list(read_records(config.to_settings([digest for digest, _ in files]), files, lambda exclusion: None))
    assert len(records) == len({digest for digest, _ in files}) > 4
    assert all(ast.parse(record["text"]) for record in records)
