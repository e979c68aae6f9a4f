"""The way back from a number: cells to keys, keys to parents, down to the digests of sources."""

from mixlab.report.site.lineage import Held, build_lineage_data, list_not_here

LINEAGE = {
    "cells": [
        {
            "variant_key": "v1",
            "stage": "after_sft",
            "benchmark": "gsm8k",
            "measure": "accuracy",
            "made_of": [{"sft_seed": 1, "score_key": "sc", "model_key": "m:last-00"}],
        }
    ],
    "mixtures": {"mx": {"certificate_digest": "ce" * 32}},
    "ancestry": {
        "sc": {"stage": "score", "parents": [["responses", "gen"]], "facts": []},
        "gen": {"stage": "generate", "parents": [["model", "m:last-00"], ["items", "s2"]], "facts": []},
        "m": {"stage": "ipt", "parents": [["mixture", "mx"]], "facts": []},
        "mx": {"stage": "mixture", "parents": [["packs", "p"]], "facts": []},
        "p": {"stage": "pack", "parents": [["tokens", "s1"]], "facts": []},
        "s1": {"stage": "source", "parents": [], "facts": [["digest", "ab" * 32]]},
        "s2": {"stage": "source", "parents": [], "facts": []},
    },
}
HELD = {
    "s1": Held("micro/raw", "tracked", "d1", ("2026-11-22, 3 s, commit abc",)),
    "m": Held("micro/ipt", "discarded", "d2"),
    "gen": Held("micro/gen", "complete", "d3"),
}


def test_a_cell_leads_to_its_keys_and_each_key_to_its_parents_and_digests() -> None:
    data = build_lineage_data(LINEAGE, HELD)
    assert data["cells"] == {
        "v1|after_sft|gsm8k|accuracy": [{"sft_seed": 1, "score_key": "sc", "model_key": "m:last-00"}]
    }
    assert data["nodes"]["s1"] == {
        "stage": "source",
        "parents": [],
        "facts": [["digest", "ab" * 32]],
        "label": "micro/raw",
        "state": "tracked",
        "digest": "d1",
        "made": ["2026-11-22, 3 s, commit abc"],
    }
    assert data["nodes"]["mx"] == {
        "stage": "mixture",
        "parents": [["packs", "p"]],
        "facts": [["certificate", "ce" * 32]],
    }


def test_what_is_not_here_is_counted_by_stage_and_state() -> None:
    nodes = build_lineage_data(LINEAGE, HELD)["nodes"]
    assert list_not_here(nodes) == [("ipt", "discarded", 1), ("source", "tracked", 1)]
