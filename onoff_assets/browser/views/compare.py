"""Compare: the models of a data set on the same problems, all at once and two of them closely."""

from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa
import streamlit as st

from onoff_assets.browser.aggregates import problem_counts, token_summary
from onoff_assets.browser.at_k import Figure, Row, read_at_k
from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.flips import flips
from onoff_assets.browser.grid_rows import in_order
from onoff_assets.browser.links import Link, choose, side_by_side
from onoff_assets.browser.pairs import solved_by
from onoff_assets.browser.reading import Key, Reader, Responses
from onoff_assets.browser.text import escaped, visible
from onoff_assets.browser.views import charts, common, strip
from onoff_assets.browser.views.charts import COLOURS
from onoff_assets.browser.views.compare_confidence import show_confidence
from onoff_assets.browser.views.compare_many import show_many, show_splits
from onoff_core.errors import MissingInputError
from onoff_core.statistics import problem_means, responses_by_problem
from onoff_core.statistics.comparing import compare_curves
from onoff_core.statistics.estimators import pass_at_k
from onoff_core.statistics.intervals import Interval

_MOST_FLIPS = 200
_FIRST_MODELS = 6  # that are compared where the address names none


def show() -> None:
    reader, link = common.reader(), common.link_here()
    before = st.session_state.get("partition", {}).get("model")
    key = common.choose_partition(reader, link)
    if key is None:
        return
    others = [model for dataset, model in reader.partitions() if dataset == key[0] and model != key[1]]
    if not others:
        st.info(escaped(f"{key[0]} has responses of one model only; materialize another model's partition to compare."))
        return
    chosen = _chosen(reader, link, key, others)
    wanted = link.other
    if wanted == key[1]:  # the other one was chosen as the first: they change places
        wanted = before if before in others else None
    if wanted is None and len(chosen) > 1:
        wanted = next(model for model in chosen if model != key[1])
    other, message = choose("model", wanted, others)
    common.warn([message] if message else [])
    assert other is not None
    with st.sidebar:
        _pick_models(in_order([key[1], *others], common.study()[0]), chosen)
        common.pick("other", "Look closer at it beside", others, other)
        st.button("⇄ swap the two", on_click=common.set_link, kwargs={"model": other, "other": key[1]})
    common.keep_link(Link(*key, other=other))
    st.title("Compare")
    if len(chosen) > 2:
        common.set_link(models=",".join(chosen))
        _several(reader, key[0], chosen)
        st.subheader(visible(f"{key[1]} beside {other}"))
    _pair(reader, (key, (key[0], other)), is_one_of_several=len(chosen) > 2)


def _chosen(reader: Reader, link: Link, key: Key, others: list[str]) -> list[str]:
    """The models that the address names; without any, the two it names, or else the first ones that have responses."""
    there = in_order([key[1], *others], common.study()[0])
    named = [model for model in st.query_params.get("models", "").split(",") if model in there]
    if named:
        return list(dict.fromkeys([*named, *([] if key[1] in named else [key[1]])]))
    if link.other in others:
        return [key[1], link.other]
    complete = [model for model in there if reader.store.current("samples", (key[0], model)) is not None]
    return complete[:_FIRST_MODELS] if key[1] in complete[:_FIRST_MODELS] else [key[1], *complete[: _FIRST_MODELS - 1]]


def _pick_models(options: list[str], chosen: list[str]) -> None:
    st.session_state["pick-models"] = chosen
    st.multiselect(
        "Models", options, key="pick-models", format_func=visible,
        on_change=lambda: common.set_link(models=",".join(st.session_state["pick-models"]) or None),
    )  # fmt: skip


def _several(reader: Reader, dataset: str, chosen: list[str]) -> None:
    """All that were chosen and have responses."""
    models, missing = {}, []
    for model in chosen:
        try:
            models[model] = reader.responses((dataset, model))
        except MissingInputError as error:
            missing.append(str(error))
    common.warn(missing)
    show_many(reader, dataset, models)


def _pair(reader: Reader, keys: tuple[Key, Key], is_one_of_several: bool) -> None:
    for key in keys:
        strip.show(reader, key, name=key[1])
    pair = (reader.responses(keys[0]), reader.responses(keys[1]))
    means = [problem_means(responses.table) for responses in pair]
    _difference(keys, pair, means)
    _solved(keys, means)
    if not is_one_of_several:
        left, right = st.columns(2)
        with left:
            _pass_at_k(keys, pair)
        with right:
            _lengths(keys, pair)
        models = {key[1]: responses for key, responses in zip(keys, pair, strict=True)}
        show_splits(reader, keys[0][0], models)
        show_confidence(reader, models)
    _at_k(keys, read_at_k(reader, pair))
    _histograms(reader, keys, pair)
    _flips(keys, means)


def _solved(keys: tuple[Key, Key], means: list[dict[str, float]]) -> None:
    """How many problems both solve, one alone, neither."""
    counts = solved_by(*means)
    total = sum(counts)
    if not total:
        return
    first, second = (visible(model, 40) for _, model in keys)
    cells = [Cell(f"{count:,}", f"{100 * count / total:.0f} %", level=round(6 * count / total), number=True)
             for count in counts]  # fmt: skip
    rows = [[Cell(f"{first} solves it"), cells[0], cells[1]], [Cell(f"{first} does not"), cells[2], cells[3]]]
    link_table(
        f"Solved by which, of {total:,} problems", ["", f"{second} solves it", f"{second} does not"], rows, key="solved"
    )
    common.note("A problem is solved where the model's mean reward on it is at least one half.")


def _difference(keys: tuple[Key, Key], pair: tuple[Responses, Responses], means: list[dict[str, float]]) -> None:
    if pair[0].samples.manifest().inputs["problems"] != pair[1].samples.manifest().inputs["problems"]:
        st.warning("The two were drawn for different versions of the data set; only problems of both are compared.")
    counted = [responses_by_problem(responses.table) for responses in pair]
    curve = compare_curves("pass_at_k", counted[0], counted[1], [1])
    if curve is None:
        st.info("They have no graded problem in common; materialize rewards of both.")
        return
    paired, same_problems = curve.points[0].paired, curve.points[0].same_problems
    first, second = visible(keys[0][1]), visible(keys[1][1])
    problems = "1 problem" if paired.num_problems == 1 else f"{paired.num_problems} problems"
    text = f"{first} minus {second}: {100 * paired.difference:+.1f} points over {problems}"
    if paired.interval is not None:
        text += f", 95 % interval {_points(paired.interval)} for other problems like these, paired by problem"
    st.markdown(f"**{escaped(text)}**")
    if paired.interval is not None:
        common.note(f"For these problems, drawn again: 95 % interval {_points(same_problems)}")
    common_problems = means[0].keys() & means[1].keys()
    accuracies = [sum(of[problem] for problem in common_problems) / len(common_problems) for of in means]
    common.note(
        f"Accuracy on the same problems: {first} {100 * accuracies[0]:.1f} %, {second} {100 * accuracies[1]:.1f} %"
    )


def _points(interval: Interval) -> str:
    return f"[{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]"


_NAMES = {"pass_at_k": "pass@k", "maj_at_k": "maj@k"}


def _at_k(keys: tuple[Key, Key], rows: list[Row]) -> None:
    """Each k with both intervals, the one for other problems first and the one for these problems below it."""
    if not rows:
        st.info("There are no statistics of these verdicts; materialize statistics of both.")
        return
    common.note(
        "pass@k and maj@k have two 95 % intervals: the first for other problems like these, below it that for these "
        "problems, drawn again. The difference is paired by problem."
    )
    table = [
        [
            Cell(_NAMES[row.kind]),
            Cell(str(row.k), number=True),
            *(_figure(figure) for figure in row.figures),
            _figure(row.difference, sign="+"),
        ]
        for row in rows
    ]
    models = [key[1] for key in keys]
    header = ["statistic", "k", *models, f"{models[0]} minus {models[1]}, points"]
    common.go(link_table("Both intervals at every k", header, table, key="at-k"))


def _figure(figure: Figure | None, sign: str = "") -> Cell:
    if figure is None:
        return Cell("–")
    unit = "" if sign else " %"
    text = f"{100 * figure.estimate:{sign}.1f}{unit} {_between(figure.other_problems, sign)}"
    return Cell(
        text.strip(), note=f"drawn again {_between(figure.same_problems, sign)}" if figure.same_problems else ""
    )


def _between(ends: Interval | None, sign: str) -> str:
    return "" if ends is None else f"[{100 * ends[0]:{sign}.1f}, {100 * ends[1]:{sign}.1f}]"


def _by_model(rows: list[dict[str, Any]], fields: tuple[str, str], title: str, **sign: Any) -> alt.Chart:
    """A chart with a line for each model, told apart by colour and by another sign."""
    schema = pa.schema([("model", pa.string()), *((name, pa.float64()) for name in fields)])
    chart = alt.Chart(pa.Table.from_pylist(rows, schema), title=title)
    return chart.encode(color=alt.Color("model:N", sort=None, scale=alt.Scale(range=COLOURS)), **sign)


def _pass_at_k(keys: tuple[Key, Key], pair: tuple[Responses, Responses]) -> None:
    points, ticks = [], set()
    for (_, model), responses in zip(keys, pair, strict=True):
        correct, counts = problem_counts(responses)
        largest = min(counts, default=0)
        for k in sorted({2**i for i in range(largest.bit_length())} | {largest} - {0}):
            points.append({"k": k, "pass": pass_at_k(correct, counts, k), "model": visible(model)})
            ticks.add(k)
    x = alt.X(
        "k:Q", scale=alt.Scale(type="log", nice=False), title="k (log)", axis=alt.Axis(values=sorted(ticks), format="d")
    )
    y = alt.Y("pass:Q", title="pass@k", scale=alt.Scale(domain=[0, 1]))
    sign = alt.Shape("model:N", sort=None)
    chart = _by_model(points, ("k", "pass"), "pass@k (k = 1 is the accuracy)", shape=sign).mark_line(point=True)
    charts.show(chart.encode(x=x, y=y, tooltip=["model", "k", "pass"]), key="pass-at-k")


def _lengths(keys: tuple[Key, Key], pair: tuple[Responses, Responses]) -> None:
    """Shares of the responses by length, in the same bins for both."""
    tokens = [responses.table["num_tokens"].to_numpy() for responses in pair]
    edges = np.histogram_bin_edges(np.concatenate(tokens), bins=30)
    rows = []
    for (_, model), lengths in zip(keys, tokens, strict=True):
        shares = np.histogram(lengths, edges)[0] / max(1, len(lengths))
        ends = zip(edges, [*shares, shares[-1]], strict=True)  # the last step is drawn to its end
        rows += [{"tokens": edge, "share": share, "model": visible(model)} for edge, share in ends]
    x = alt.X("tokens:Q", title="tokens", scale=alt.Scale(nice=False, zero=False))
    sign = alt.StrokeDash("model:N", sort=None)
    chart = _by_model(rows, ("tokens", "share"), "Lengths", strokeDash=sign).mark_line(interpolate="step-after")
    charts.show(chart.encode(x=x, y=alt.Y("share:Q", title="share of responses")), key="lengths")


def _histograms(reader: Reader, keys: tuple[Key, Key], pair: tuple[Responses, Responses]) -> None:
    columns = st.columns(2)
    shares, shown = [], []
    for i, responses in enumerate(pair):
        try:
            counts = token_summary(reader, reader.distributions(responses), responses).histogram
        except MissingInputError as error:
            with columns[i]:
                common.explain(error)
            continue
        shares.append(counts / np.maximum(1, counts.sum(axis=1, keepdims=True)))
        shown.append(i)
    titles = [f"Entropy by reward: {visible(keys[i][1], 40)}" for i in shown]
    for i, chart in zip(shown, charts.entropy_histograms(shares, titles, "share of tokens"), strict=True):
        with columns[i]:
            charts.show(chart, key=f"entropy-{i}")


def _flips(keys: tuple[Key, Key], means: list[dict[str, float]]) -> None:
    apart = flips(*means)
    st.subheader("1 problem flips" if len(apart) == 1 else f"{len(apart)} problems flip")
    common.note("One model's pass rate is at least one half, the other's below; the widest apart first.")
    rows = []
    for problem, first, second in apart[:_MOST_FLIPS]:
        cells = [
            Cell(f"{mean:.2f}", level=round(6 * mean), page="problem", query=Link(*key, problem=problem).query())
            for key, mean in zip(keys, (first, second), strict=True)
        ]
        beside = side_by_side(keys[0], problem, None, keys[1][1])
        rows.append([Cell(problem, breaks=True, page="side_by_side", query=beside), *cells])
    common.go(link_table("Problems that flip", ["problem", keys[0][1], keys[1][1]], rows, key="flips"))
