"""Studies in folders below studies/: told apart from what studies extend by a title of their own."""

from pathlib import Path

from mixlab.config.studies import list_every_study, list_studies


def test_a_file_in_a_folder_is_a_study_where_it_has_a_title(tmp_path: Path) -> None:
    files = {
        "top.yaml": "title: Top\n",
        "paper/one.yaml": "# comment\ntitle: One\nextends: [common.yaml]\n",
        "paper/deep/two.yaml": 'extends: ../one.yaml\ntitle: "Two"\n',
        "paper/common.yaml": "targets:\n  t:\n    title: no title of the file\n",
        "paper/sources.yaml": "sources: {}\n",
    }
    for name, text in files.items():
        path = tmp_path / "studies" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert list_studies(tmp_path) == ["top"]
    assert list_every_study(tmp_path) == ["top", "paper/deep/two", "paper/one"]
