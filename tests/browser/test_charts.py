"""Charts of many lines: legends that a phone has room for, and which lines stand out of very many; what the menu has
and what is taken away of the grid."""

import io
import re
from typing import Any

import altair as alt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from onoff_assets.browser.downloads import as_csv
from onoff_assets.browser.grid_rows import grid_rows
from onoff_assets.browser.menu import OF_RESPONSES, pages_with_content
from onoff_assets.browser.reading import Reader
from onoff_assets.browser.views import charts
from onoff_assets.browser.views.grid_cells import csv_rows
from onoff_core.store import Store

ROOM = 260  # pixels beside the axis, of a chart on a phone that is 390 wide
LETTER, SYMBOL = 6.5, 30  # at least, of Source Sans at 13 pixels, and of a sign with its gaps


def drawn(names: list[str], **more: Any) -> dict[str, Any]:
    rows = [{"x": x, "y": 0.5, "low": 0.4, "high": 0.6, "name": name, "kind": "majority"}
            for name in names for x in (1, 2)]  # fmt: skip
    made: dict[str, Any] = charts.lines(
        rows, names, alt.X("x:Q", title="k"), charts.fraction("pass@k"), "t", **more
    ).to_dict()
    return made


@pytest.mark.parametrize("length", [3, 9, 18, 30])
def test_a_legend_is_not_wider_than_a_phone(length: int) -> None:
    names = [f"{i}".rjust(length, "m") for i in range(7)]
    key = drawn(names)["layer"][1]["encoding"]["color"]["legend"]
    told = re.fullmatch(r"max\(1, floor\(width / (\d+)\)\)", key["columns"]["expr"])
    assert told
    columns = max(1, ROOM // int(told[1]))
    assert columns == 1 or columns * (length * LETTER + SYMBOL) <= ROOM


@pytest.mark.parametrize(
    ("ends", "ticks"), [((2e-4, 0.4), [0.001, 0.01, 0.1]), ((0.03, 0.6), [0.05, 0.1, 0.2, 0.5]), ((0.5, 1), [0.5, 1])]
)
def test_ticks_of_a_log_axis_are_round(ends: tuple[float, float], ticks: list[float]) -> None:
    assert charts.powers_of_ten(*ends) == pytest.approx(ticks)


def test_a_second_legend_stands_below_the_chart() -> None:
    """Beside the first it would be cut off."""
    encoding = drawn(["a", "b"], kinds=["majority", "weighted by confidence"])["encoding"]
    assert encoding["strokeDash"]["legend"]["orient"] == "bottom"
    assert encoding["color"]["legend"].get("orient") is None


def test_of_very_many_lines_those_that_are_chosen_stand_out() -> None:
    names = [f"m{i}" for i in range(40)]
    color = drawn(names, marked=["m3", "m20"])["layer"][1]["encoding"]["color"]
    fills = dict(zip(color["scale"]["domain"], color["scale"]["range"], strict=True))
    assert color["legend"]["values"] == ["m3", "m20"]
    assert len({fills["m3"], fills["m20"], fills["m0"]}) == 3
    assert len({fills[name] for name in names if name not in ("m3", "m20")}) == 1
    without = charts.lines(
        [{"x": 1, "y": 0.5, "low": None, "high": None, "name": "a"}], ["a", "not drawn"], alt.X("x:Q", title="k"),
        charts.fraction("pass@k"), "t",
    ).to_dict()  # fmt: skip
    assert without["layer"][1]["encoding"]["color"]["legend"]["values"] == ["a"]
    few = drawn(names[:12], marked=["m3"])["layer"][1]["encoding"]["color"]
    assert few["legend"]["values"] == names[:12]


def test_pages_with_content_are_those_of_what_is_there(made_store: Store, tmp_path: Any) -> None:
    assert pages_with_content(Reader(made_store), is_read_only=True) == {
        *OF_RESPONSES, "compare", "tokens", "opinions", "rollouts", "notes",
    }  # fmt: skip
    empty = Reader(Store(str(tmp_path / "none")))
    assert pages_with_content(empty, is_read_only=False) == frozenset()


def test_the_grid_is_taken_away_with_every_partition_and_state(made_store: Store) -> None:
    rows = csv_rows(grid_rows(made_store, None))
    [bare] = [row for row in rows if (row["dataset"], row["model"]) == ("d", "bare")]
    statistics = made_store.require("statistics", ("d", "bare")).read().to_pylist()[0]
    assert (bare["accuracy"], bare["interval_low"]) == (statistics["accuracy"], statistics["interval_low"])
    assert (bare["samples"], bare["token_distributions"]) == ("complete", "missing")
    assert len(pa_csv.read_csv(io.BytesIO(as_csv(pa.Table.from_pylist(rows))))) == len(rows) == 6
