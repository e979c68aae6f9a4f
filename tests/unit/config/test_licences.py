"""Licences in SPDX or in people's words, and what a study allows."""

import pytest
from pydantic import ValidationError

from mixlab.config.licences import LicencePolicy, find_licence_conflicts, read_licence, tiers_of


@pytest.mark.parametrize(
    ("words", "spdx", "tiers"),
    [
        ("mit", "MIT", ("permissive",)),
        ("CC BY-SA 3.0", "CC-BY-SA-3.0", ("share_alike",)),
        ("Creative Commons Attribution-NonCommercial 4.0", "CC-BY-NC-4.0", ("non_commercial",)),
        ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0", ("non_commercial",)),
        ("Apache License, Version 2.0", "Apache-2.0", ("permissive",)),
        ("odc-by", "ODC-By-1.0", ("permissive",)),
        ("cc0", "CC0-1.0", ("public_domain",)),
        ("MIT OR GPL-3.0-only", "MIT OR GPL-3.0-only", ("permissive", "share_alike")),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0", ("share_alike",)),
        ("LicenseRef-Ours", "LicenseRef-Ours", ("unknown",)),
        ("OpenRAIL", None, ("unknown",)),
        ("MIT AND (", None, ("unknown",)),
        ("public domain", None, ("public_domain",)),
        ("Share Alike", None, ("share_alike",)),
    ],
)
def test_a_licence_is_understood_in_spdx_in_usual_spellings_and_as_a_tier(
    words: str, spdx: str | None, tiers: tuple[str, ...]
) -> None:
    licence = read_licence(words)
    assert licence.spdx == spdx
    assert tiers_of(licence) == tiers


def test_all_conflicts_are_told_with_their_cure_and_the_unknown_is_not_allowed() -> None:
    policy = LicencePolicy(
        allow=("permissive", "CC-BY-SA-4.0", "house"),
        tiers={"house": ("LicenseRef-Ours",)},
        exceptions={"bought": "we hold a contract", "gone": "we had one"},
    )
    licences = {
        "fine": "MIT",
        "named": "cc-by-sa-4.0",
        "ours": "LicenseRef-Ours",
        "either": "GPL-3.0-only OR MIT",
        "both": "MIT AND GPL-3.0-only",
        "older": "CC-BY-SA-3.0",
        "misspelt": "CC-BY-SA 3",
        "nobody": "unknown",
        "bought": "proprietary",
    }
    conflicts = dict(find_licence_conflicts(policy, licences))
    assert sorted(conflicts) == ["both", "gone", "misspelt", "nobody", "older"]
    assert "licence CC-BY-SA-3.0 (share_alike) is not allowed (permissive, CC-BY-SA-4.0, house)" in conflicts["older"]
    assert "licences.exceptions.older" in conflicts["older"]
    assert "is unknown; did you mean 'CC-BY-SA-3.0'?" in conflicts["misspelt"]
    assert "names no training source" in conflicts["gone"]


def test_the_unknown_may_be_allowed_in_so_many_words() -> None:
    policy = LicencePolicy(allow=("unknown",))
    assert find_licence_conflicts(policy, {"a": "who knows", "b": "unknown", "c": "LicenseRef-Theirs"}) == []
    assert [name for name, _ in find_licence_conflicts(policy, {"d": "MIT"})] == ["d"]


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"allow": ["permisive"]}, "'permisive' is neither a tier nor an SPDX id; did you mean 'permissive'"),
        ({"allow": ["MIT"], "tiers": {"mine": ["Apache-2"]}}, "tiers.mine: 'Apache-2' is no SPDX id"),
        ({"allow": ["MIT"], "exceptions": {"a": " "}}, "exceptions: a: write the reason"),
        ({"allow": []}, "at least 1 item"),
    ],
)
def test_a_policy_that_names_nothing_known_is_refused(policy: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LicencePolicy.model_validate(policy)
