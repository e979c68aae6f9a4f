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
        ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0", ("non_commercial", "share_alike")),
        ("CC-BY-NC-ND-4.0", "CC-BY-NC-ND-4.0", ("no_derivatives", "non_commercial")),
        ("CC-BY-3.0-NL", "CC-BY-3.0-NL", ("permissive",)),
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


def _allowed(*allow: str, tiers: dict[str, tuple[str, ...]] | None = None) -> list[str]:
    """Say what a policy lets pass, of Creative Commons' licences."""
    parts = ("", "-SA", "-ND", "-NC", "-NC-SA", "-NC-ND")
    licences = {part: f"CC-BY{part}-4.0" for part in parts}
    conflicts = dict(find_licence_conflicts(LicencePolicy(allow=allow, tiers=tiers or {}), licences))
    return [part for part in parts if part not in conflicts]


@pytest.mark.parametrize(
    ("allow", "passes"),
    [
        (("permissive",), [""]),
        (("non_commercial",), ["-NC"]),
        (("share_alike",), ["-SA"]),
        (("non_commercial", "share_alike"), ["-SA", "-NC", "-NC-SA"]),
        (("non_commercial", "no_derivatives"), ["-ND", "-NC", "-NC-ND"]),
        (("CC-BY-*",), [""]),
        (("CC-BY-[0-9]*",), [""]),
        (("cc-by-nc-*",), ["-NC"]),
        (("CC-BY-NC*",), ["-NC"]),
        (("CC-BY-NC-SA-*",), ["-NC-SA"]),
        (("CC-BY-NC-ND-4.0", "permissive"), ["", "-NC-ND"]),
        (("CC-*",), [""]),
        (("*",), ["", "-SA", "-ND", "-NC", "-NC-SA", "-NC-ND"]),
    ],
)
def test_every_restriction_of_a_licence_must_be_allowed_and_a_pattern_adds_none(
    allow: tuple[str, ...], passes: list[str]
) -> None:
    assert _allowed(*allow) == passes


def test_a_study_s_own_tier_allows_what_it_names_and_another_content_hides_no_restriction() -> None:
    assert _allowed("house", tiers={"house": ("CC-BY-*", "CC-BY-NC-ND-4.0")}) == ["", "-NC-ND"]
    assert _allowed("share_alike", tiers={"non_commercial": ("CC-BY-NC-4.0",)}) == ["-SA"]
    assert _allowed("non_commercial", tiers={"non_commercial": ("CC-BY-NC-*", "CC-BY-NC-SA-*")}) == ["-NC"]


def test_what_else_must_be_allowed_is_told() -> None:
    ((_, told),) = find_licence_conflicts(LicencePolicy(allow=("non_commercial",)), {"a": "CC-BY-NC-SA-4.0"})
    assert "licence CC-BY-NC-SA-4.0 (non_commercial, share_alike) is not allowed (non_commercial)" in told
    assert "allow it (share_alike too), or state a reason" in told


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
        ({"allow": ["CC-BY-*-4.0"]}, "a pattern leaves versions open, not restrictions: write NC, SA and ND out"),
        ({"allow": []}, "at least 1 item"),
    ],
)
def test_a_policy_that_names_nothing_known_is_refused(policy: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LicencePolicy.model_validate(policy)
