"""The page of a study with a served model and pairwise judging, in headless Chromium: what each side shows of both."""

from pathlib import Path

import pytest
from browsing import count
from chromium import Page
from compared_study import DIALOGUES, QUESTIONS, make_compared_study

from mixlab.report.site.site import write_site

pytestmark = [pytest.mark.long, pytest.mark.browser, pytest.mark.xdist_group("browser")]

MODELS = 17
ANSWERS = MODELS * (QUESTIONS + DIALOGUES)
VERDICTS = "[...document.querySelectorAll('#detail .verdict > p:first-child')].map((one) => one.textContent)"
FLIPPED, UNREAD, SAME = "tie (the order decided)", "could not be read", "the same words, so nothing was asked"
OWN, OTHER = "this answer was preferred", "the other answer was preferred"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compared")
    out = root / "page"
    out.mkdir()
    assert write_site(make_compared_study(root / "made"), out) == ANSWERS
    return out


def choose(page: Page, **values: str) -> int:
    for name, value in values.items():
        page.choose(name.replace("seed_of_", "seed:"), value)
    return count(page)


def choose_model(page: Page, variant: str, stage: str, **seeds: str) -> int:
    """Leave the dialogues of one model in the list."""
    key = page.evaluate(
        f"[...document.querySelector('select[name=variant]').options].find((one) => one.text === {variant!r}).value"
    )
    return choose(page, benchmark="mt_bench_ja", variant=key, stage=stage, **seeds)


def open_row(page: Page, row: int) -> list[str]:
    """Open a row of the list; return the first lines of all that judges said of it."""
    page.evaluate(f"document.querySelector('#row-{row}').click()")
    page.wait_for(f"document.querySelector('#row-{row}').getAttribute('aria-selected') === 'true'")
    page.wait_for("document.querySelector('#detail pre.answer')")
    item = f"mt/{row}"
    page.wait_for(f"document.querySelector('#detail h3').textContent === 'Item {item}'")
    return list(page.evaluate(VERDICTS))


def list_outcomes(said: list[str], other: str, turn: int) -> list[str]:
    """What came of the comparisons with another model, of one turn, in order of judge runs."""
    begins = f"Turn {turn}, judge run "
    return [one.partition(": ")[2] for one in said if one.startswith(begins) and f"against {other}: " in one]


TUNED = {"seed_of_ipt_seed": "1", "seed_of_sft_seed": "2"}
RIVAL = "raw only · after SFT · ipt seed 1 · sft seed 2"
MIXED = "half code · after SFT · ipt seed 1 · sft seed 2"


def test_comparisons_stand_beside_an_answer_with_what_came_of_them(page: Page) -> None:
    assert choose_model(page, "half code", "after_sft", **TUNED) == DIALOGUES
    for row, outcome in enumerate((OWN, FLIPPED, UNREAD, SAME)):
        said = open_row(page, row)
        assert list_outcomes(said, RIVAL, 1) == [outcome] * 2
        assert list_outcomes(said, RIVAL, 2) == [OTHER] * 2
        assert list_outcomes(said, "hosted · served", 1) == [outcome]
        # two judge runs rate two turns each
        assert sum(one.startswith("Judge run ") for one in said) == 4


def test_the_other_side_says_the_opposite(page: Page) -> None:
    assert choose_model(page, "raw only", "after_sft", **TUNED) == DIALOGUES
    said = open_row(page, 0)
    assert (list_outcomes(said, MIXED, 1), list_outcomes(said, MIXED, 2)) == ([OTHER] * 2, [OWN] * 2)
    choose(page, **dict.fromkeys(TUNED, ""))
    assert choose_model(page, "hosted", "served") == DIALOGUES
    said = open_row(page, 0)
    assert (list_outcomes(said, MIXED, 1), list_outcomes(said, MIXED, 2)) == ([OTHER], [OWN])
    assert len({one for one in said if "against half code" in one and "Turn 1" in one}) == 3


def test_a_reply_says_which_answer_was_shown_first_and_is_found(page: Page) -> None:
    # of the first comparison: both models' four dialogues, each with a turn that was asked about
    assert choose(page, text="pair 0, b first") == 2 * DIALOGUES
    shown = "[...document.querySelectorAll('#detail mark')].map((one) => one.parentElement.previousSibling.textContent)"
    assert choose_model(page, "half code", "after_sft") == DIALOGUES
    open_row(page, 0)
    assert page.evaluate(shown) == ["The other answer shown first:"] * 2
    assert choose_model(page, "raw only", "after_sft") == DIALOGUES
    open_row(page, 0)
    assert page.evaluate(shown) == ["This answer shown first:"] * 2


def test_a_served_model_has_its_answers_and_is_compared_side_by_side(page: Page) -> None:
    assert choose(page, stage="served") == QUESTIONS + DIALOGUES
    assert choose(page, mixture="none") == choose(page, base_model="none") == QUESTIONS + DIALOGUES
    other = page.evaluate(
        f"[...document.querySelector('select[name=compare]').options].find((one) => one.text === {MIXED!r}).value"
    )
    assert choose(page, compare=other) == QUESTIONS + DIALOGUES
    page.evaluate("document.querySelector('#row-0').click()")
    heads = page.wait_for(
        "(() => { const found = [...document.querySelectorAll('.sides.two > div > h4:first-child')]"
        ".map((one) => one.textContent); return found.length === 2 && found; })()"
    )
    assert heads[0].startswith("hosted · served ") and heads[1].startswith(MIXED)


def test_the_lineage_of_a_served_models_number_says_that_no_source_is_known(page: Page) -> None:
    page.click("table[data-name=main] button[data-of*='|served|']")
    said = page.wait_for("document.querySelector('#origin').open && document.querySelector('#origin').textContent")
    assert "hosted, served: gsm8k, accuracy" in said and "1 set of scores" in said
    assert "No source is known: the model is served" in said and "ef" * 32 in said
    page.press("Escape")


def test_a_win_rate_leads_to_its_comparisons_and_their_sources(page: Page) -> None:
    page.click("table[data-name=pairwise] button[data-of*='|served|']")
    said = page.wait_for("document.querySelector('#origin').open && document.querySelector('#origin').textContent")
    assert "Artifact 9000000000000006" in said and "judge_pairs" in said and "responses_a: " in said
    assert "ab" * 32 in said and "0 sets of scores" not in said
    page.press("Escape")


def test_a_cell_of_a_target_leads_to_both_sides_of_a_difference_and_their_sources(page: Page) -> None:
    page.click("table[data-name=target_table_one] tbody tr:first-child button[data-of*=gsm8k]")
    said = page.wait_for("document.querySelector('#origin').open && document.querySelector('#origin').textContent")
    assert "half code, after SFT: gsm8k, accuracy" in said and "raw only, after SFT: gsm8k, accuracy" in said
    assert "scored as: " in said and "ab" * 32 in said
    page.press("Escape")
    page.click("table[data-name=target_table_three] button[data-of]")
    said = page.wait_for("document.querySelector('#origin').open && document.querySelector('#origin').textContent")
    assert "Artifact 3000000000000000" in said and "ab" * 32 in said
    page.press("Escape")


def test_the_lines_of_a_targets_figure_stay_and_its_paper_follows_the_page(page: Page) -> None:
    (paper, ink), (dark_paper, dark_ink) = (read_figure(page, theme) for theme in ("light", "dark"))
    page.prefer("light")
    assert (paper, dark_paper) == ("rgb(255, 255, 255)", "rgb(22, 24, 27)")
    assert ink != dark_ink


def read_figure(page: Page, theme: str) -> tuple[str, str]:
    """The colours of a figure's paper and of its letters."""
    page.prefer(theme)
    figure = "document.querySelector('#target-figure-one svg %s')"
    return tuple(
        page.evaluate(f"getComputedStyle({figure % what}).fill") for what in ("#target_figure_one-patch_1 path", "text")
    )


def test_a_number_of_a_finding_is_a_button_that_leads_to_its_lineage(page: Page) -> None:
    page.click("ul.findings button[data-of]")
    said = page.wait_for("document.querySelector('#origin').open && document.querySelector('#origin').textContent")
    assert "Where this number comes from" in said and "ab" * 32 in said
    page.press("Escape")
    assert page.evaluate("document.activeElement.matches('ul.findings button')")


def test_a_row_that_left_the_view_is_drawn_again_as_it_was(page: Page) -> None:
    row = "document.querySelector('#row-0')"
    page.wait_for(f"{row}?.querySelector('.what').textContent.startsWith('Question 0')")
    before = page.evaluate(f"{row}.textContent")
    page.evaluate("document.querySelector('#list').focus()")
    page.press("End")
    page.wait_for(f"{row} === null && document.querySelector('#row-{ANSWERS - 1}')")
    assert page.evaluate("document.querySelectorAll('.row').length") < 60
    page.press("Home")
    page.wait_for(f"{row}?.querySelector('.what').textContent.startsWith('Question 0')")
    assert page.evaluate(f"{row}.textContent") == before
    assert page.evaluate(f"{row}.getAttribute('aria-selected')") == "true"


def test_a_training_log_without_a_loss_is_named_and_draws_no_line(page: Page) -> None:
    said = page.wait_for("document.querySelector('#curves ul') && document.querySelector('#curves').textContent")
    assert "2 of 3 training logs hold no loss:sft without a lossipt without a loss" in said
    assert "told3.250 after 2 steps, 25 tokens" in said
    drawn = [page.evaluate(f"document.querySelectorAll('#curves {what}').length") for what in ("svg", "svg path")]
    assert drawn == [1, 1]
