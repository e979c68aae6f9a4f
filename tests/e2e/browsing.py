"""What tests of a page in a browser ask it."""

from chromium import Page

COUNT = "document.querySelector('#count').textContent"


def count(page: Page) -> int:
    """How many answers the list holds."""
    page.wait_for("document.querySelector('#count').getAttribute('aria-busy') === 'false'")
    return int(page.evaluate(COUNT).split(" of ")[0].replace("\u202f", ""))
