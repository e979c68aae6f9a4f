"""A study's page in headless Chromium, opened as a file: filters, comparison, lineage, keys, harmful texts."""

import random
import shutil
from pathlib import Path

import pytest
from browsing import count
from chromium import Page
from made_up_answers import NASTY, NEEDLE
from made_up_study import make_study

from mixlab.report.site.site import PAGE, write_site

pytestmark = [pytest.mark.long, pytest.mark.browser, pytest.mark.xdist_group("browser")]

MODELS, ITEMS = 10, 60
ANSWERS = MODELS * ITEMS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of ten models, of a folder with a space and Japanese in its name."""
    root = tmp_path_factory.mktemp("study")
    out = root / "a page 頁"
    out.mkdir()
    assert write_site(make_study(root / "made", MODELS, ITEMS, random.Random(2)), out) == ANSWERS
    return out


def choose(page: Page, name: str, value: str) -> int:
    page.choose(name, value)
    return count(page)


def test_the_list_holds_all_answers_and_draws_few_rows(page: Page) -> None:
    assert count(page) == ANSWERS
    assert 5 < page.evaluate("document.querySelectorAll('.row').length") < 40
    assert page.evaluate("document.querySelector('.row').textContent").count("mixture 0") == 1


def test_filters_leave_what_they_say(page: Page) -> None:
    judged = choose(page, "benchmark", "mt_bench_ja")
    assert judged == MODELS * ITEMS // 10
    assert choose(page, "language", "en") == 0
    assert choose(page, "benchmark", "") == ANSWERS - judged
    assert choose(page, "language", "") == ANSWERS
    assert choose(page, "seed:sft_seed", "2") == ANSWERS // 5
    assert choose(page, "mixture", "mixture 1") == ANSWERS // 10
    page.click("#filters button[type=reset]")
    assert count(page) == ANSWERS
    right, wrong = (choose(page, "least", value) for value in ("1", "2"))
    assert 0 < wrong < right < ANSWERS
    choose(page, "least", "")
    parts = [choose(page, "parsed", value) for value in ("1", "0", "-")]
    assert sum(parts) == ANSWERS and parts[0] > parts[1] > 0 == parts[2]
    assert choose(page, "category", "math") < parts[0]


def test_a_text_is_found_in_every_file_and_marked(page: Page) -> None:
    found = choose(page, "text", "needle IN the hay")
    texts = page.evaluate("document.querySelector('#filters').elements.text.value")
    assert texts == "needle IN the hay" and found < ANSWERS
    assert choose(page, "text", "question 7:") == MODELS
    page.evaluate("document.querySelector('#list').focus()")
    page.press("ArrowDown")
    assert page.wait_for("document.querySelector('#detail mark')?.textContent") == "Question 7:"
    assert choose(page, "text", "rating: [[") == MODELS * ITEMS // 10


def test_two_models_stand_side_by_side_on_the_same_question(page: Page) -> None:
    assert choose(page, "compare", "9") == (MODELS - 1) * ITEMS
    differing = choose(page, "difference", "differ")
    better, worse = (choose(page, "difference", value) for value in ("better", "worse"))
    assert better + worse == differing > 0 < better
    page.evaluate("document.querySelector('#list').focus()")
    page.press("ArrowDown")
    page.wait_for("document.querySelectorAll('.sides.two > div').length === 2")
    heads = page.evaluate(
        "[...document.querySelectorAll('.sides.two > div > h4:first-child')].map((one) => one.textContent)"
    )
    assert "mixture 0" in heads[0] and "mixture 1" in heads[1]
    questions = page.evaluate("[...document.querySelectorAll('#detail pre.question')].length")
    assert questions >= 1


def test_a_number_of_a_table_leads_to_the_digest_of_its_source(page: Page) -> None:
    page.click("table[data-name=main] button[data-of]")
    page.wait_for("document.querySelector('#origin').open")
    assert page.wait_for("document.querySelector('#origin table.sources')?.textContent.includes('ab'.repeat(32))")
    tables = page.evaluate("[...document.querySelectorAll('#origin table.sources')].map((one) => one.textContent)")
    # what records were compared with stands apart from what they were drawn from
    assert [["ab" * 32 in one, "ef" * 32 in one] for one in tables[:2]] == [[True, False], [False, True]]
    said = page.evaluate("document.querySelector('#origin-body').textContent")
    assert "sft seed 1" in said and "5000000000000000" in said
    page.evaluate("document.querySelector('#origin .tree details').open = true")
    page.press("Escape")
    page.wait_for("!document.querySelector('#origin').open")


def test_a_lineage_unfolds_from_score_to_source_and_leads_to_its_answers(page: Page) -> None:
    page.click("table[data-name=main] button[data-of]")
    page.wait_for("document.querySelector('#origin .tree')")
    page.evaluate(
        "(async () => { for (let depth = 0; depth < 8; depth += 1) {"
        " document.querySelectorAll('#origin details:not([open])').forEach((one) => { one.open = true; });"
        " await new Promise((done) => setTimeout(done, 30)); } })()"
    )
    roles = page.evaluate("[...document.querySelectorAll('#origin .tree .role')].map((one) => one.textContent)")
    assert {"scored as: ", "answers: ", "checkpoint: ", "mixture: ", "packs: ", "responses: "} <= set(roles)
    page.click("#origin-body .bar button")
    page.wait_for("!document.querySelector('#origin').open")
    assert count(page) == 5 * (ITEMS - ITEMS // 10)


def test_a_key_is_looked_up_by_its_first_digits(page: Page) -> None:
    page.evaluate("document.querySelector('#lookup input').value = '3000'")
    page.click("#lookup button")
    page.wait_for("document.querySelector('#origin').open")
    assert "Artifact 3000000000000000" in page.evaluate("document.querySelector('#origin').textContent")
    page.press("Escape")
    page.evaluate("document.querySelector('#lookup input').value = 'b000'")
    page.click("#lookup button")
    page.wait_for("document.querySelector('#lookup output').textContent.includes('artifacts begin with')")


def test_too_few_digits_are_told(page: Page) -> None:
    page.evaluate("document.querySelector('#lookup input').value = '300'")
    page.click("#lookup button")
    page.wait_for("document.querySelector('#lookup output').textContent.includes('at least the first 4 digits')")


def test_an_address_that_is_none_leaves_the_page_alive(page: Page, folder: Path) -> None:
    page.open("about:blank")
    page.open((folder / PAGE).as_uri() + "#%")
    page.wait_for("document.documentElement?.dataset.ready === 'yes'")
    assert count(page) == ANSWERS


def test_what_is_folded_is_printed_and_folded_again(page: Page) -> None:
    folded = "document.querySelectorAll('main details:not([open])').length"
    before = page.evaluate(folded)
    assert before > 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(folded) == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(folded) == before


def test_everything_is_done_with_keys_alone(page: Page) -> None:
    page.press("/")
    assert page.evaluate("document.activeElement.name") == "text"
    page.evaluate("document.querySelector('#list').focus()")
    page.press("End")
    last = page.evaluate("document.querySelector('#list').getAttribute('aria-activedescendant')")
    assert last == f"row-{ANSWERS - 1}"
    page.wait_for("document.querySelector('#detail pre.answer')")
    page.press("Enter")
    assert page.evaluate("document.activeElement.id") == "detail"
    page.press("Escape")
    assert page.evaluate("document.activeElement.id") == "list"
    page.press("Home")
    assert page.evaluate("document.querySelector('#row-0').getAttribute('aria-selected')") == "true"
    page.evaluate("document.querySelector('table[data-name=main] button[data-of]').focus()")
    page.press("Enter")
    page.wait_for("document.querySelector('#origin').open")
    page.press("Escape")
    # focus comes back to the number
    assert page.evaluate("document.activeElement.matches('button[data-of]')")


def test_what_a_model_wrote_is_shown_and_never_run(page: Page) -> None:
    assert choose(page, "text", "onerror") == MODELS
    page.evaluate("document.querySelector('#list').focus()")
    page.press("ArrowDown")
    shown = page.wait_for("document.querySelector('#detail pre.answer')?.textContent")
    assert shown == NASTY
    assert page.evaluate("document.querySelectorAll('img').length") == 0


def test_a_link_opens_its_answer_in_a_fresh_page(page: Page, folder: Path) -> None:
    page.evaluate("document.querySelector('#list').focus()")
    page.press("End")
    link = page.wait_for("document.querySelector('#detail a[href^=\"#answer-\"]')?.getAttribute('href')")
    item = page.evaluate("document.querySelector('#detail h3').textContent")
    page.open("about:blank")
    page.open((folder / PAGE).as_uri() + link)
    assert page.wait_for("document.querySelector('#detail h3')?.textContent") == item


def test_colours_follow_the_system_and_the_switch(page: Page) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    page.prefer("dark")
    dark = page.evaluate(paper)
    page.prefer("light")
    light = page.evaluate(paper)
    assert dark != light == "rgb(255, 255, 255)"
    page.evaluate("localStorage.clear()")
    seen = []
    for _ in range(3):
        page.click("#theme")
        seen.append((page.evaluate("document.querySelector('#theme span').textContent"), page.evaluate(paper)))
    assert seen == [("light", light), ("dark", dark), ("system", light)]


def test_a_file_that_is_gone_is_told_where_it_is_missed(browser: Page, folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    for path in (broken / "data/answers").glob("c*.js"):
        path.unlink()
    browser.open((broken / PAGE).as_uri())
    browser.wait_for("document.documentElement?.dataset.ready === 'yes'")
    choose(browser, "benchmark", "mt_bench_ja")
    browser.evaluate("document.querySelector('#list').focus()")
    browser.press("ArrowDown")
    said = browser.wait_for("document.querySelector('#detail .caution')?.textContent")
    assert "cannot be loaded; it belongs beside the page" in said


def test_numbers_are_printed_and_controls_are_not(page: Page) -> None:
    page.prefer("light", media="print")
    shown = "getComputedStyle(document.querySelector(%r)).display"
    assert page.evaluate(shown % "#filters") == page.evaluate(shown % "nav.contents") == "none"
    assert page.evaluate(shown % "table[data-name=main]") == "table"
    page.prefer("light")


def test_a_target_wider_than_paper_is_printed_whole(page: Page) -> None:
    row = "<tr><td class=text>25-25-25-25</td>" + "<td class=number>4.42 (+1.4 %, −3.1 to +5.9)</td>" * 10 + "</tr>"
    page.resize(700, 1000)
    page.prefer("light", media="print")
    page.evaluate(
        "document.querySelector('#findings').insertAdjacentHTML('beforeend',"
        f" `<div class=wide id=probe><table data-name=target_t>{row}</table></div>`)"
    )
    assert page.evaluate("document.querySelector('#probe').scrollWidth <= document.querySelector('#probe').clientWidth")
    page.evaluate("document.querySelector('#probe').remove()")
    page.resize(1400, 1000)
    page.prefer("light")


def test_a_title_in_one_word_wraps_on_a_narrow_screen(page: Page) -> None:
    page.resize(375, 800)
    page.evaluate("document.querySelector('h1').textContent = 'x'.repeat(300)")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.resize(1400, 1000)


def test_the_needle_is_in_the_answers_that_hold_it(page: Page, folder: Path) -> None:
    written = sum(path.read_text(encoding="utf-8").count(NEEDLE) for path in (folder / "data/answers").iterdir())
    assert choose(page, "text", NEEDLE) == written
