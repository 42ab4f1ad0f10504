"""The part of `onoff bench browser` about tables: the first rows of many responses, and another order.

The responses are made up and short; their number is what costs. Times are measured in the page: from the address, or
from the click on a header, to the frame in which the rows are drawn.
"""

import statistics
from typing import Any

from benchmarks.drawn import opened
from benchmarks.figures import Figure
from benchmarks.synthetic import STOP, MadeUp, MadeUpProblem, encode, write_partition
from onoff_core.store import Store, publish_catalog

RESPONSES = 100_000
_SAMPLES = 100  # of each problem
_SORT = """async ([label, wanted]) => {
  const find = (id) => [...document.querySelectorAll('*')].find((e) => e.shadowRoot?.querySelector(id))?.shadowRoot;
  const table = find('#data'), began = performance.now();
  [...table.querySelectorAll('th button')].find((b) => b.textContent.startsWith(label)).click();
  while (table.querySelector('th[aria-sort=' + wanted + ']')?.textContent.startsWith(label) !== true)
    await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - began;
}"""


def write_many(store: Store) -> None:
    """One partition of `RESPONSES` responses of different lengths, without token distributions."""
    words = [encode(" so" * (1 + i % 40)) for i in range(_SAMPLES)]
    responses = [MadeUp([*ids, STOP], int(i % 3 == 0), str(i % 7)) for i, ids in enumerate(words)]
    problems = [MadeUpProblem(f"problem-{i}", responses) for i in range(RESPONSES // _SAMPLES)]
    write_partition(store, "bench", "many", problems, with_distributions=False)
    publish_catalog(store)


def table_figures(browser: Any, address: str, repeats: int) -> list[Figure]:
    """Of the page Responses over `write_many`'s store, which is served at the address."""
    firsts, sorts = [], []
    for _ in range(1 + max(1, repeats)):  # the first one also loads the app's modules
        page, seconds = opened(browser, f"{address}/responses?dataset=bench&model=many", "#data tbody tr a")
        firsts.append(seconds)
        page.wait_for_timeout(2000)  # until what is computed beside is there
        for wanted in ("descending", "ascending"):
            sorts.append(float(page.evaluate(_SORT, ["tokens", wanted])) / 1000)
            page.wait_for_timeout(300)
        page.close()
    rows = f"{RESPONSES:,} responses"
    return [
        Figure(f"first rows of {rows}", statistics.median(firsts[1:]), "s", target="<= 1 s"),
        Figure(f"another order of {rows}", statistics.median(sorts[2:]), "s", target="<= 1 s"),
    ]
