"""Which mixtures of a study are alike: by budget and composition of the raw part, base model by base model."""

from mixlab.analysis.surface.study_points import PlannedMixture, Shares, leave_out_unlike, name_components


def mixture(base: str, variant: str, budget: int, raw: dict[str, float] | None = None) -> PlannedMixture:
    """Half instruction data, and a raw part of these shares."""
    parts = {part: ratio / 2 for part, ratio in (raw or {"en": 0.4, "ja": 0.6}).items()}
    return PlannedMixture(Shares({"en/math": 0.5}, parts, budget, "tokens", False), (variant,), (base,))


def test_each_base_model_has_a_budget_of_its_own() -> None:
    planned = {f"short{at}": mixture("short", f"v{at}", 6144) for at in range(2)}
    planned |= {f"long{at}": mixture("long", f"v{at}", 9216) for at in range(3)}
    kept, notes = leave_out_unlike(planned)
    assert kept == {"short": ("short0", "short1"), "long": ("long0", "long1", "long2")}
    assert notes == []


def test_budgets_that_realised_tokens_tell_apart_count_as_one_and_it_is_told() -> None:
    budgets = (9216, 9162, 9162, 9091)
    kept, notes = leave_out_unlike({f"m{at}": mixture("base", f"v{at}", one) for at, one in enumerate(budgets)})
    assert kept == {"base": ("m0", "m1", "m2", "m3")}
    assert notes == ["budgets of 9091 to 9216 tokens count as one, within 3 %"]


def test_who_has_another_budget_is_named_with_it_and_its_base_model() -> None:
    planned = {f"a{at}": mixture("a", f"v{at}", 1000) for at in range(3)}
    planned |= {f"b{at}": mixture("b", f"v{at}", budget) for at, budget in enumerate((2000, 4000, 2000, 4000, 2000))}
    kept, notes = leave_out_unlike(planned)
    assert kept == {"a": ("a0", "a1", "a2"), "b": ("b0", "b2", "b4")}
    assert notes == [
        "on b: 'v1', 'v3': a budget of 4000 tokens, not of 2000 tokens, and so other than by ratios; left out"
    ]


def test_a_mixture_of_two_base_models_may_be_left_out_of_one() -> None:
    shared = PlannedMixture(mixture("", "", 1000).shares, ("both",), ("a", "b"))
    planned = {"shared": shared, **{f"b{at}": mixture("b", f"v{at}", 2000) for at in range(2)}}
    kept, notes = leave_out_unlike(planned)
    assert kept == {"a": ("shared",), "b": ("b0", "b1")}
    assert len(notes) == 1


def test_natural_raw_shares_that_tokenizers_tell_apart_leave_raw_one_component() -> None:
    groups = [
        [mixture(base, f"v{at}", 1, {"en": en, "ja": 1 - en}).shares for at in range(2)]
        for base, en in (("a", 0.373), ("b", 0.370))
    ]
    assert name_components(groups) == (("raw", "en/math"), False)
    groups[0].append(mixture("a", "v2", 1, {"en": 1.0}).shares)
    assert name_components(groups) == (("raw en", "raw ja", "en/math"), True)
