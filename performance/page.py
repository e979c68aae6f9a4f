"""How fast a page of 100,000 answers is written, and opens in a browser.

    python performance/page.py [--models 50] [--items 2000] [--openings 5] [--keep FOLDER] [--shots FOLDER]

Answers, scores and their tables are made up, the page is what `mixlab page` writes of them. Measured in headless
Chromium, from the file: from the start of navigation to the first answers in the list; a filter of all answers; a text
in all of them, which reads every file; a jump to the end of the list. Without a browser only the writing is measured.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from chromium import Page, find_chromium, open_chromium
from made_up_study import make_study

from mixlab.report.site.site import PAGE, write_site

READY = "document.documentElement?.dataset.ready === 'yes' && document.querySelectorAll('.row').length"
COUNT = "document.querySelector('#count').textContent"


def main() -> None:
    """Make the page, write it, look at it, and print what each took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--openings", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="write the page into this folder, and leave it")
    parser.add_argument("--shots", type=Path, help="write screenshots into this folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        inputs = make_study(root / "study", asked.models, asked.items, random.Random(1))
        out = asked.keep or root / "page"
        out.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        answers = write_site(inputs, out)
        seconds = time.perf_counter() - started
        files = [path for path in out.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 2**20
        print(
            f"written: {answers} answers of {asked.models} models, {len(files)} files, {size:.0f} MiB, {seconds:.1f} s"
        )
        index = (out / "data/index.js").stat().st_size / 2**20
        print(f"of these the page itself {(out / PAGE).stat().st_size / 2**20:.2f} MiB, its index {index:.2f} MiB")
        program = find_chromium()
        if program is None:
            print("no Chromium here: nothing opened")
            return
        with open_chromium(program) as page:
            look(page, out, asked.openings)
            if asked.shots:
                shoot(page, asked.shots)


def look(page: Page, out: Path, openings: int) -> None:
    """Open the page and use it, several times; print medians and the slowest."""
    url = (out / PAGE).resolve().as_uri()
    opened = []
    for _ in range(openings):
        started = time.perf_counter()
        page.send("Page.navigate", url=url)
        page.wait_for(READY)
        opened.append(time.perf_counter() - started)
    report("opened, first answers listed", opened)
    print(f"  {page.evaluate(COUNT)}")
    report("filtered by stage", [measure(page, "stage", value) for value in ("after_sft", "")])
    report("ordered by score", [measure(page, "order", value) for value in ("low", "model")])
    report("compared with another model", [measure(page, "compare", value) for value in ("1", "")])
    report("searched in all texts", [measure(page, "text", "needle in the hay")])
    print(f"  {page.evaluate(COUNT)}")
    measure(page, "text", "")
    started = time.perf_counter()
    page.evaluate("document.querySelector('#list').focus()")
    page.press("End")
    page.wait_for("document.querySelector('#detail pre')")
    report("jumped to the last answer", [time.perf_counter() - started])
    print(f"complaints of the browser: {page.errors or 'none'}")
    beyond = [one for one in page.requested if not one.startswith("file:")]
    print(f"requests beyond files: {beyond or 'none'}")


def measure(page: Page, name: str, value: str) -> float:
    """Return the seconds from a choice to the list that follows from it."""
    started = time.perf_counter()
    page.choose(name, value)
    page.wait_for("document.querySelector('#count').getAttribute('aria-busy') === 'false'")
    return time.perf_counter() - started


def report(what: str, seconds: Sequence[float]) -> None:
    """Print one line."""
    print(f"{what}: {statistics.median(seconds):.2f} s (slowest of {len(seconds)}: {max(seconds):.2f} s)")


def shoot(page: Page, folder: Path) -> None:
    """Write what the page looks like, light and dark, wide and narrow."""
    folder.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        page.prefer(theme)
        for name, width in (("wide", 1400), ("narrow", 480)):
            page.resize(width, 1000)
            for place in ("top", "training", "answers"):
                page.evaluate(f"location.hash = {json.dumps('#' + place)}")
                page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
                page.shoot(folder / f"{place}_{theme}_{name}.png")


if __name__ == "__main__":
    main()
