"""What a mixture declaration accepts, and that equal mixtures are equal however they are written."""

from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from mixlab.config.axes import MixtureSource
from mixlab.config.mixture_config import MixtureConfig
from mixlab.config.mixtures import MixtureSettings, RawFactor, RawFactors
from mixlab.config.sources import SourceConfig

FIELDS: dict[str, Any] = {
    "raw": {"text": "{t}"},
    "instruction": {"user": "{q}", "assistant": "{a}"},
    "benchmark": {"item": {"q": "{q}"}},
}


def _declared(**labels: str) -> dict[str, SourceConfig]:
    declared = {}
    for name, label in labels.items():
        kind, language, *category = label.split("/")
        fields = FIELDS[kind]
        declared[name] = SourceConfig.model_validate(
            {
                "kind": kind,
                "language": language,
                "category": category[0] if category else None,
                "licence": "none",
                "origin": {"type": "files", "paths": [name], "format": "jsonl", "fields": fields},
            }
        )
    return declared


DECLARED = _declared(
    wiki="raw/en", soseki="raw/ja", gsm="instruction/en/math", mawps="instruction/ja/math",
    alpaca="instruction/en/code", test="benchmark/en",
)  # fmt: skip
SOURCES = ["wiki", "soseki", "gsm", "mawps"]
BASE: dict[str, Any] = {"sources": SOURCES, "instruction": "0.8", "budget": {"tokens": "6e5"}}


def _settings(**changes: Any) -> MixtureSettings:
    return MixtureConfig.model_validate(BASE | changes).to_settings(DECLARED, seed=0)


def test_equal_mixtures_written_differently_are_one() -> None:
    one = _settings(language={"ratios": {"en": "1/2", "ja": 0.5}}, instruction="80 %", budget={"tokens": 600_000})
    for other in (
        _settings(language={"weights": {"ja": 3, "en": 3}}),
        _settings(language={"ratios": {"ja": "50 %", "en": "0.5"}}, sources=["gsm", "mawps", "soseki", "wiki"]),
    ):
        assert one.model_dump_json() == other.model_dump_json()


def test_weights_of_sources_count_by_their_proportion_within_a_cell_and_within_the_raw_part() -> None:
    written = (
        {"wiki": 1, "soseki": 2, "gsm": 1, "alpaca": 1, "mawps": 1},
        {"wiki": "1/3", "soseki": "2/3", "gsm": 7, "alpaca": "0.5", "mawps": "20 %"},
    )
    one, other = (_settings(sources=sources).model_dump_json() for sources in written)
    assert one == other
    assert one != _settings(sources={**written[0], "soseki": 3}).model_dump_json()


def test_a_zero_share_is_the_same_as_no_share() -> None:
    one = _settings(category={"weights": {"math": 1, "code": 0}})
    assert one.model_dump_json() == _settings(category={"ratios": {"math": 1}}).model_dump_json()


def test_a_third_is_exact_and_its_decimal_is_not() -> None:
    assert _settings(instruction="1/3").instruction == Fraction(1, 3)
    assert _settings(instruction="33.33 %").instruction == Fraction(3333, 10000)
    with pytest.raises(ValidationError, match=r"ratios sum to 0\.9999, not 1; did you mean `weights:`"):
        _settings(language={"ratios": {"en": "66.66 %", "ja": "33.33 %"}})


def test_settings_survive_json() -> None:
    settings = _settings(raw={"weights": {"wiki": 2, "soseki": 1}}, max_epochs="3/2")
    assert MixtureSettings.model_validate_json(settings.model_dump_json()) == settings


def test_raw_shares_and_groups_become_positions() -> None:
    raw = {"ratios": {"books": "3/4", "wiki": "1/4"}}
    settings = _settings(raw=raw, raw_groups={"books": ["soseki"]})
    assert [source.kind for source in settings.sources] == ["instruction", "instruction", "raw", "raw"]
    assert [(group.ratio, group.sources) for group in settings.raw] == [(Fraction(3, 4), (2,)), (Fraction(1, 4), (3,))]


def test_an_order_by_key_makes_names_irrelevant() -> None:
    config = MixtureConfig.model_validate(BASE)
    renamed = MixtureConfig.model_validate(BASE | {"sources": ["wiki", "z_soseki", "gsm", "mawps"]})
    one = config.to_settings(DECLARED, 0, ["soseki", "gsm", "wiki", "mawps"])
    other = renamed.to_settings(DECLARED | {"z_soseki": DECLARED["soseki"]}, 0, ["z_soseki", "gsm", "wiki", "mawps"])
    assert one == other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": ["wiki", "gsn"]}, "unknown name 'gsn'; did you mean 'gsm'?"),
        ({"sources": ["wiki", "test"]}, "'test' is a benchmark"),
        ({"sources": ["wiki"]}, "instruction data has a share of 0.8 and no source"),
        ({"sources": ["gsm"]}, "raw data has a share of 0.2 and no source"),
        ({"sources": {"gsm": 1, "alpaca": 1, "wiki": -1}}, "must not be negative"),
        ({"sources": {"wiki": "nan", "gsm": 1}}, "expected a number"),
        ({"sources": {"wiki": 0, "gsm": 1}}, r"raw data has a share of 0\.2 and no source"),
        ({"instruction": "1.2"}, r"must lie in \[0, 1\]"),
        ({"language": {"ratios": {"en": 1, "de": 0}}}, "unknown name 'de'"),
        ({"category": {"weights": {"maths": 1}}}, "did you mean 'math'?"),
        ({"language": {"weights": {"en": 0}}}, "all shares are 0"),
        ({"language": {"weights": {"en": 1}, "ratios": {"en": 1}}}, "either `ratios:`"),
        ({"category": {"weights": {"math": 1, "code": 1}}}, "cell any language/code has a share and no source"),
        ({"cells": {"ratios": {"en/math": "1/2", "ja/code": "1/2"}}}, "cell ja/code has a share and no source"),
        ({"cells": {"ratios": {"en-math": 1}}}, "unknown cell en-math"),
        ({"cells": {"ratios": {"en/math": 1}}, "language": {"weights": {"en": 1}}}, "remove those axes"),
        ({"raw": {"weights": {"wiki": 1, "gsm": 1}}}, "is no raw source"),
        ({"raw": {"weights": {"wiki": 1, "both": 1}}, "raw_groups": {"both": ["wiki", "soseki"]}}, "in two groups"),
        ({"budget": {"tokens": 1, "samples": 2}}, "got tokens and samples"),
        ({"budget": {}}, "a budget is one of tokens, samples, epochs, windows or steps, got none"),
        ({"budget": {"tokens": "0.5"}}, "expected a whole number"),
        ({"max_epochs": 0}, "greater than 0"),
        ({"budget": {"tokens": 0}}, "greater than 0"),
        ({"budget": {"steps": 5}}, "`steps` and `global_batch_windows` go together"),
        ({"budget": {"tokens": 5, "global_batch_windows": 2}}, "`steps` and `global_batch_windows` go together"),
        ({"budget": {"steps": 5, "global_batch_windows": 2, "tokens": 9}}, "got tokens and steps"),
        ({"raw": {"factors": {"wiki": 2}, "weights": {"wiki": 1}}}, "write one of `ratios:`"),
        ({"raw": {"factors": {"wikki": 2}}}, "unknown name 'wikki'; did you mean 'wiki'?"),
        ({"raw": {"factors": {"gsm": 2}}}, "is no raw source"),
        ({"raw": {"factors": {"wiki": -1}}}, "must not be negative"),
        ({"raw": {"factors": {"wiki": 2}}, "sources": dict.fromkeys(SOURCES, 1)}, "factors multiply the population"),
        ({"phases": [{"from_share": "1/2"}]}, "a phase changes nothing"),
        ({"phases": [{"instruction": 0}]}, "a phase begins at one of from_step, from_tokens or from_share, got none"),
        ({"phases": [{"instruction": 0}]}, "got none"),
        ({"phases": [{"from_share": "1/2", "from_step": 2, "instruction": 0}]}, "got from_step and from_share"),
        ({"phases": [{"from_step": 2, "instruction": 0}]}, "from_step needs a budget in steps"),
        ({"phases": [{"from_tokens": "7e5", "instruction": 0}]}, "from_tokens 700,000 lies outside of the budget"),
        ({"phases": [{"from_share": 1, "instruction": 0}]}, "less than 1"),
        (
            {"phases": [{"from_step": 1, "instruction": 0}], "budget": {"steps": 9, "global_batch_windows": 2}},
            "from_step 1 is where the mixture itself begins: write its shares there",
        ),
        (
            {"phases": [{"from_step": 10, "instruction": 0}], "budget": {"steps": 9, "global_batch_windows": 2}},
            "from_step 10 lies outside of the budget of 9 steps",
        ),
        (
            {"phases": [{"from_share": "1/2", "instruction": 0}, {"from_share": "1/3", "instruction": 1}]},
            "each begins later",
        ),
        ({"phases": [{"from_share": "1/2", "category": {"weights": {"cod": 1}}}]}, "did you mean 'code'?"),
        ({"phases": [{"from_share": "1/2", "language": {"ratios": {"en": "0.4"}}}]}, r"ratios sum to 0\.4"),
        ({"phases": [{"from_share": "1/2", "category": {"weights": {"code": 1}}}]}, r"phases\[0\]: cell any language"),
    ],
)
def test_a_mixture_that_cannot_be_met_is_refused_before_anything_runs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _settings(**changes)


def test_the_joint_of_two_axes_needs_a_source_in_every_cell_unless_it_may_be_raked() -> None:
    joint = {"sources": [*SOURCES, "alpaca"], "category": {"weights": {"math": 3, "code": 1}}}
    joint["language"] = {"weights": {"en": 1, "ja": 1}}
    with pytest.raises(ValidationError, match="cell ja/code has a share and no source: add a source"):
        _settings(**joint)
    assert _settings(**joint, on_empty_cell="rake").on_empty_cell == "rake"


def test_phases_take_what_they_leave_out_from_the_mixture() -> None:
    phases = [
        {"from_tokens": "2e5", "instruction": "1/2"},
        {"from_share": "1/2", "cells": {"ratios": {"en/math": 1}}},
        {"from_share": "0.9", "raw": {"factors": {"wiki": 3}}, "language": "natural"},
    ]
    settings = _settings(language={"weights": {"en": 1, "ja": 1}}, phases=phases)
    first, second, third = settings.phases
    assert [phase.begin for phase in settings.phases] == [Fraction(1, 3), Fraction(1, 2), Fraction(9, 10)]
    assert (first.instruction, first.language) == (Fraction(1, 2), {"en": Fraction(1, 2), "ja": Fraction(1, 2)})
    assert (second.instruction, second.language, second.cells) == (Fraction(4, 5), "natural", {"en/math": 1})
    assert (third.language, third.cells) == ("natural", None)
    assert third.raw == RawFactors(factors=(RawFactor(source=3, factor=Fraction(3)),))
    assert [share for _, share, _ in settings.stretches()] == [Fraction(1, 3), Fraction(1, 2), Fraction(9, 10), 1]
    assert MixtureSettings.model_validate_json(settings.model_dump_json()) == settings


def test_a_phase_from_a_step_begins_with_its_first_window() -> None:
    budget = {"steps": 10, "global_batch_windows": 4}
    settings = _settings(budget=budget, phases=[{"from_step": 6, "instruction": 0}])
    assert (settings.budget.windows, settings.phases[0].begin) == (40, Fraction(1, 2))
    assert settings == _settings(budget={"windows": 40}, phases=[{"from_share": "50 %", "instruction": 0}])


def test_a_source_that_only_a_phase_uses_is_used() -> None:
    config = MixtureConfig.model_validate(
        BASE | {"instruction": 1, "phases": [{"from_share": "1/2", "instruction": "1/2"}]}
    )
    assert config.used_names(DECLARED) == ("gsm", "mawps", "soseki", "wiki")
    assert MixtureConfig.model_validate(BASE | {"instruction": 1}).used_names(DECLARED) == ("gsm", "mawps")


def test_a_factor_of_one_is_no_factor_and_one_of_nothing_no_source() -> None:
    assert _settings(raw={"factors": {"wiki": 1, "soseki": "1/1"}}) == _settings()
    assert _settings(raw={"factors": {"soseki": 0}}) == _settings(sources=["wiki", "gsm", "mawps"])


def test_an_instruction_source_is_of_a_language_that_has_cells() -> None:
    assert MixtureSource(kind="raw", language="ko").label == "ko raw"
    with pytest.raises(ValidationError, match="an instruction source has no cell of ko; allowed: en, ja"):
        MixtureSource(kind="instruction", language="ko", category="math")


def test_a_pool_may_have_a_share_or_factor_when_its_members_are_listed_singly() -> None:
    expansion = {"books": ("soseki", "wiki"), **{name: (name,) for name in SOURCES}}
    members: dict[str, Any] = {"raw_groups": {"all": ["wiki", "soseki"]}}
    for given, meant in (
        ({"raw": {"ratios": {"books": 1}}}, {"raw": {"ratios": {"all": 1}}, **members}),
        ({"raw": {"factors": {"books": 2}}}, {"raw": {"factors": {"soseki": 2, "wiki": 2}}}),
        (
            {"phases": [{"from_share": "1/2", "raw": {"weights": {"books": 1}}}]},
            {"phases": [{"from_share": "1/2", "raw": {"weights": {"all": 1}}}], **members},
        ),
        (
            {"phases": [{"from_share": "1/2", "raw": {"factors": {"books": 2}}}]},
            {"phases": [{"from_share": "1/2", "raw": {"factors": {"soseki": 2, "wiki": 2}}}]},
        ),
    ):
        assert MixtureConfig.model_validate(BASE | given).renamed(expansion).to_settings(DECLARED, 0) == _settings(
            **meant
        )


def test_names_give_way_to_the_parts_they_stand_for() -> None:
    expansion = {"books": ("soseki", "wiki"), "skills": ("gsm", "mawps"), "gsm": ("gsm",), "wiki": ("wiki",)}
    given: dict[str, Any] = BASE | {"sources": ["books", "skills"]}
    config = MixtureConfig.model_validate(given).renamed(expansion)
    assert config.to_settings(DECLARED, 0) == _settings()
    weighted = MixtureConfig.model_validate(given | {"sources": {"books": 3, "gsm": "1/2", "mawps": 1}})
    assert weighted.renamed(expansion).sources == {"soseki": 3, "wiki": 3, "gsm": Fraction(1, 2), "mawps": 1}
    whole = MixtureConfig.model_validate(given | {"raw": {"weights": {"books": 1}}}).renamed(expansion)
    assert whole.to_settings(DECLARED, 0) == _settings(
        raw={"weights": {"all": 1}}, raw_groups={"all": ["wiki", "soseki"]}
    )
    phase = {"from_share": "1/2", "raw": {"factors": {"books": 2}}}
    later = MixtureConfig.model_validate(given | {"phases": [phase]}).renamed(expansion)
    assert later.phases[0].raw.factors == {"soseki": 2, "wiki": 2}
    with pytest.raises(ValueError, match="'books' and 'wiki' both hold 'wiki'"):
        MixtureConfig.model_validate(given | {"sources": ["books", "wiki", "gsm", "mawps"]}).renamed(expansion)
