"""The tables of responses and of problems against what the store holds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.synthetic import STOP, MadeUp, MadeUpProblem, encode, write_partition
from onoff_assets.browser.components.data_table import Shown
from onoff_assets.browser.downloads import as_csv, as_parquet, taken
from onoff_assets.browser.grid_rows import in_order
from onoff_assets.browser.noted import ANY_NOTE, WITH_COMMENT, with_notes, with_notes_of_problems
from onoff_assets.browser.pairs import paired_differences, shares, solved_by
from onoff_assets.browser.problem_rows import COLUMNS as OF_PROBLEMS
from onoff_assets.browser.problem_rows import problem_table, with_numbers
from onoff_assets.browser.queries import read_query, rows_of
from onoff_assets.browser.reading import Reader
from onoff_assets.browser.response_rows import COLUMNS, numbers_job, response_rows, texts_of
from onoff_assets.browser.views import listing, problems
from onoff_assets.browser.views import notes as notes_page
from onoff_assets.browser.views.noting import words_of
from onoff_assets.browser.views.responses import views
from onoff_core.statistics import comparison_table, responses_by_problem
from onoff_core.store import Store
from onoff_core.store.notes import Note, new_note

KEYS = [("d", "m"), ("d", "n")]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    store = Store(str(tmp_path_factory.mktemp("rows") / "store"))
    right, wrong = MadeUp([*encode(" so 2"), STOP], 1, "2"), MadeUp([*encode(" so then 3"), STOP], 0, "3")
    cut = MadeUp(encode(" so so"), 0, None, finish_reason="length", status="no_answer")
    empty = MadeUp([], 0, None, finish_reason="length", status="no_answer")
    problems = [MadeUpProblem("p0", [right, wrong, cut]), MadeUpProblem("p1", [wrong, empty, wrong])]
    write_partition(store, "d", "m", problems)
    write_partition(
        store, "d", "n", [MadeUpProblem(f"p{i}", [right, right, wrong]) for i in range(2)], with_distributions=False,
        fingerprint="b" * 16,
    )  # fmt: skip
    return Reader(store)


def test_numbers_are_those_of_the_stored_tokens(reader: Reader) -> None:
    rows = response_rows(reader, KEYS)
    numbers = numbers_job(reader, rows).result(30)
    assert numbers is not None
    stored = reader.store.require("token_distributions", ("d", "m")).read().to_pylist()
    for at, row in enumerate(rows.table.slice(0, 6).to_pylist()):
        own = [s for s in stored if (s["problem_id"], s["sample_index"]) == (row["problem_id"], row["sample_index"])]
        mean, largest, log_prob = (
            numbers[name][at].as_py() for name in ("mean_entropy", "maximum_entropy", "mean_log_prob")
        )
        if not own:
            assert (mean, largest, log_prob) == (None, None, None)
            continue
        assert mean == pytest.approx(np.mean([s["entropy"] for s in own]), abs=1e-6)
        assert largest == pytest.approx(max(s["entropy"] for s in own))
        assert log_prob == pytest.approx(np.mean([s["logprob"] for s in own]), abs=1e-6)
    assert numbers["mean_entropy"].slice(6).null_count == 6  # n was not scored
    assert numbers["mean_log_prob"].slice(6).to_pylist() == [-0.5] * 6  # as sampling recorded them


def test_rows_of_several_partitions_say_of_which(reader: Reader) -> None:
    rows = response_rows(reader, KEYS)
    assert rows.table["of_model"].to_pylist() == ["m"] * 6 + ["n"] * 6
    assert rows.table["answer"].to_pylist() == ["2"] * 12
    assert set(rows.table["question"].to_pylist()) == {"What is $1 + 1$?"}
    rates = rows.table["pass_rate"].to_pylist()
    assert rates == pytest.approx([1 / 3] * 3 + [0] * 3 + [2 / 3] * 6)
    wanted = np.array([9, 0, 4, 1])
    samples = [row for key in KEYS for row in reader.store.require("samples", key).read().to_pylist()]
    assert texts_of(rows, wanted) == [samples[i]["response"] for i in wanted]


def test_problems_have_the_stored_statistics(reader: Reader) -> None:
    responses = reader.responses(("d", "m"))
    table = problem_table(reader, responses)
    numbers = numbers_job(reader, response_rows(reader, [("d", "m")])).result(30)
    assert numbers is not None
    table = with_numbers(table, responses, numbers.append_column("mean_confidence", numbers["mean_entropy"]))
    assert table["mean_confidence"].to_pylist() == table["mean_entropy"].to_pylist()  # weighed in the same way
    table = with_notes_of_problems(table, [])
    assert {column.name for column in OF_PROBLEMS} == set(table.column_names) - {"notes_text"}
    stored = responses_by_problem(reader.store.require("rewards", ("d", "m")).read())
    assert table["pass_rate"].to_pylist() == [stored[name].pass_rate for name in ("p0", "p1")]
    assert table["num_truncated"].to_pylist() == [1, 1]
    assert table["num_tied"].to_pylist() == [1, 0]  # p0: one 2 and one 3; p1: two 3
    shown = listing.shown_columns(table, OF_PROBLEMS)
    at = [one.column.name for one in shown].index("majority_answer")
    first, second = problems._rows(("d", "m"), table, shown, np.array([0, 1]))
    assert (first.cells[at], first.tips[at]) == ("2 (tie of 2)", "2; 1 other answer given as often")
    assert (second.cells[at], at in second.tips) == ("3", False)
    tokens = reader.store.require("token_distributions", ("d", "m")).read()
    for name, mean in zip(("p0", "p1"), table["mean_entropy"].to_pylist(), strict=True):
        own = [row["entropy"] for row in tokens.to_pylist() if row["problem_id"] == name]
        assert mean == pytest.approx(np.mean(own), abs=1e-6)


def test_the_surest_measure_that_is_there_decides_the_views() -> None:
    def of(*names: str) -> list[tuple[str | None, bool]]:
        return [
            (v.query.sort, v.query.falling)
            for v in views(names)
            if v.label in ("confidently wrong", "unsure and correct")
        ]

    assert of("mean_confidence", "mean_entropy") == [("mean_confidence", True), ("mean_confidence", False)]
    assert of("mean_entropy", "mean_log_prob") == [("mean_entropy", False), ("mean_entropy", True)]
    assert of("mean_log_prob") == [("mean_log_prob", True), ("mean_log_prob", False)]
    assert of() == []


def test_what_is_taken_away_is_what_is_shown(reader: Reader, tmp_path: Path) -> None:
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    table = response_rows(reader, [("d", "m")]).table
    chosen = taken(table, np.array([4, 1]), COLUMNS)
    assert chosen["sample_index"].to_pylist() == [1, 1]
    assert {"dataset", "model"} <= set(chosen.column_names)
    (tmp_path / "taken.parquet").write_bytes(as_parquet(chosen))
    (tmp_path / "taken.csv").write_bytes(as_csv(chosen))
    assert pq.read_table(tmp_path / "taken.parquet").to_pylist() == chosen.to_pylist()
    assert pa_csv.read_csv(tmp_path / "taken.csv")["num_tokens"].to_pylist() == chosen["num_tokens"].to_pylist()


def test_stars_and_notes_are_columns_of_their_responses(reader: Reader) -> None:
    def made(key: tuple[str, str], sample: int, position: int | None, **content: Any) -> Note:
        on = new_note(author="me", key=key, samples="a" * 16, problem_id="p1", sample_index=sample, position=position,
                      excerpt="")  # fmt: skip
        return replace(on, **content)

    notes = [
        made(("d", "m"), 2, None, star=True),
        made(("d", "m"), 0, 3, tags=("slip",), comment="carries the 1"),
        made(("d", "n"), 0, 1, star=True),  # of a token: the response has none
        made(("d", "gone"), 0, None, star=True),
    ]
    rows = response_rows(reader, KEYS)
    table = with_notes(rows.table, notes)
    assert np.flatnonzero([star is not None for star in table["star"].to_pylist()]).tolist() == [5]
    assert [row for row, values in enumerate(table["notes"].to_pylist()) if values] == [3]
    assert table["notes"][3].as_py() == [ANY_NOTE, WITH_COMMENT, "#slip"]
    assert table["notes_text"][3].as_py() == "#slip ✎ carries the 1"
    worded = replace(notes[1], tags=("lost here", "slip"))
    assert words_of(worded) == "✎ token 3 : #lost here, #slip · carries the 1 (me)"
    assert words_of(replace(worded, tags=())) == "✎ token 3 : carries the 1 (me)"
    assert notes_page._row(worded, None)[2].note.startswith("#lost here, #slip · me, ")

    def found(**address: str) -> list[int]:
        query, messages = read_query(address, COLUMNS)
        assert messages == []
        return [int(row) for row in rows_of(table, query, COLUMNS, None)]

    assert found(star="starred") == [5]
    assert found(notes="#slip") == found(notes="any note") == found(notes="#other,with a comment") == [3]
    assert found(notes="#other") == []
    assert found(sort="-star")[0] == 5
    assert found(sort="-notes")[0] == 3
    assert found(question="no such words") == []
    taken_away = taken(table, np.array([3, 5]), COLUMNS)
    assert taken_away["notes"].to_pylist() == ["#slip ✎ carries the 1", None]
    assert b"carries the 1" in as_csv(taken_away)  # lists and shared questions can be written
    problems = with_notes_of_problems(problem_table(reader, reader.responses(("d", "m"))), notes[:2])
    assert problems["num_starred"].to_pylist() == [None, 1]
    assert problems["notes_text"].to_pylist() == [None, "#slip ✎ carries the 1"]


def test_pairs_are_corrected_as_the_comparisons_are(reader: Reader) -> None:
    models = {name: reader.responses(("d", name)) for name in ("m", "n")}
    found, compared = paired_differences(reader, "d", models)
    table = comparison_table({name: responses_by_problem(of.table) for name, of in models.items()}, [1]).to_pylist()
    [row] = [row for row in table if row["statistic"] == "accuracy"]
    one, other = found[row["first_model"], row["second_model"]], found[row["second_model"], row["first_model"]]
    assert (one.difference, one.holm_p_value, compared) == (row["difference"], row["holm_p_value"], 1)
    assert other.difference == -one.difference
    assert other.interval is not None
    assert one.interval == (-other.interval[1], -other.interval[0])


def test_who_solves_what_and_shares() -> None:
    assert solved_by({"a": 1, "b": 0.5, "c": 0, "d": 0.4}, {"a": 0.6, "b": 0.1, "c": 1, "d": 0, "e": 1}) == (1, 1, 1, 1)
    assert shares([0, 1, 1, 2], [0, 1, 2]) == [0.25, 0.75]
    assert shares([], [0, 1]) == [0.0]


def test_numbers_in_names_count_as_numbers() -> None:
    assert in_order(["m-14b", "m-7b", "a", "m-7b"], None) == ["a", "m-7b", "m-14b"]


def test_tables_of_nothing_are_empty(tmp_path: Path) -> None:
    rows = response_rows(Reader(Store(str(tmp_path / "none"))), [])
    assert (rows.table.num_rows, rows.starts) == (0, [])
    assert isinstance(numbers_job(Reader(Store(str(tmp_path / "none"))), rows).result(10), pa.Table)


def test_what_the_tables_of_the_store_name_is_shown_in_words() -> None:
    """The filter, the address and the files that one takes away keep the names."""
    shown = [Shown(column) for column in COLUMNS if column.name in ("status", "finish_reason", "problem_id")]
    row = {"status": "no_answer", "finish_reason": "length_in_thinking", "problem_id": "a_b"}
    assert sorted(map(str, listing.cells(row, shown))) == ["a_b", "length in thinking", "no answer"]
