"""When a page shows something, measured in the page itself.

Looked for in every frame: asking from outside, as a test does, finds it up to half a second later.
"""

from typing import Any

_EVERY_FRAME = """
const selector = %r;
const look = () => {
  for (const element of document.querySelectorAll("*"))
    if (element.shadowRoot?.querySelector(selector)) { window.drawnAt = performance.now(); return; }
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


def opened(browser: Any, address: str, selector: str) -> tuple[Any, float]:
    """A new page at an address, in a browser with an empty cache, and the seconds until a component of ours shows what
    the selector names.
    """
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(120_000)
    page.add_init_script(_EVERY_FRAME % selector)
    page.goto(address)
    page.wait_for_function("window.drawnAt")
    return page, float(page.evaluate("window.drawnAt")) / 1000
