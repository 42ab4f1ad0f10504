"""Compare: two models on the same problems."""

import altair as alt
import numpy as np
import pyarrow as pa
import streamlit as st

from onoff_assets.browser.aggregates import problem_counts, problem_means, token_summary
from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.links import Link, choose
from onoff_assets.browser.paired import flips, paired_difference
from onoff_assets.browser.reading import Key, Reader, Responses
from onoff_assets.browser.text import escaped, visible
from onoff_assets.browser.views import charts, common
from onoff_assets.browser.views.charts import COLOURS
from onoff_assets.browser.views.tokens import histogram
from onoff_core.errors import MissingInputError
from onoff_core.statistics.estimators import pass_at_k

_MOST_FLIPS = 200


def show() -> None:
    reader, link = common.reader(), common.link_here()
    key = common.choose_partition(reader, link)
    if key is None:
        return
    others = [model for dataset, model in reader.partitions() if dataset == key[0] and model != key[1]]
    if not others:
        st.info(escaped(f"{key[0]} has responses of one model only; materialize another model's partition to compare."))
        return
    other, message = choose("model", link.other, others)
    common.warn([message] if message else [])
    assert other is not None
    with st.sidebar:
        common.pick("other", "Compare with", others, other)
    common.keep_link(Link(*key, other=other))
    keys = (key, (key[0], other))
    pair = (reader.responses(keys[0]), reader.responses(keys[1]))
    _difference(keys, pair)
    _curves(keys, pair)
    _histograms(reader, keys, pair)
    _flips(keys, pair)


def _difference(keys: tuple[Key, Key], pair: tuple[Responses, Responses]) -> None:
    if pair[0].samples.manifest().inputs["problems"] != pair[1].samples.manifest().inputs["problems"]:
        st.warning("The two were drawn for different versions of the data set; only problems of both are compared.")
    paired = paired_difference(*(problem_means(responses) for responses in pair))
    first, second = visible(keys[0][1]), visible(keys[1][1])
    if paired.difference is None:
        st.info("They have no graded problem in common; materialize rewards of both.")
        return
    text = f"{first} minus {second}: {100 * paired.difference:+.1f} points over {paired.num_problems} problems"
    if paired.low is not None and paired.high is not None and paired.unpaired_width is not None:
        text += f", 95 % interval [{100 * paired.low:+.1f}, {100 * paired.high:+.1f}], paired by problem"
        text += f" (unpaired it would be {100 * paired.unpaired_width:.1f} points wide)."
    st.markdown(f"**{escaped(text)}**")


def _curves(keys: tuple[Key, Key], pair: tuple[Responses, Responses]) -> None:
    """pass@k, whose k = 1 is the accuracy, and the lengths."""
    points, lengths = [], []
    for (_, model), responses in zip(keys, pair, strict=True):
        correct, counts = problem_counts(responses)
        largest = min(counts, default=0)
        for k in [2**i for i in range(largest.bit_length())]:
            points.append({"k": k, "pass@k": pass_at_k(correct, counts, k), "model": visible(model)})
        tokens = responses.table["num_tokens"].to_numpy()
        edges = np.histogram_bin_edges(tokens, bins=30) if len(tokens) else np.array([0, 1])
        shares = np.histogram(tokens, edges)[0] / max(1, len(tokens))
        lengths += [
            {"tokens": edges[i], "share": shares[i], "model": visible(model)} for i in range(len(shares)) if shares[i]
        ]
    left, right = st.columns(2)
    color = alt.Color("model:N", scale=alt.Scale(range=COLOURS))
    with left:
        x = alt.X("k:Q", title="k (log)", scale=alt.Scale(type="log", base=2))
        chart = alt.Chart(pa.Table.from_pylist(points), title="pass@k (k = 1 is the accuracy)").mark_line(point=True)
        y = alt.Y("pass\\@k:Q", title="pass@k", scale=alt.Scale(domain=[0, 1]))
        charts.show(chart.encode(x=x, y=y, color=color, shape="model:N"), key="pass-at-k")
    with right:
        chart = alt.Chart(pa.Table.from_pylist(lengths), title="Lengths").mark_line(
            interpolate="step-after", point=True
        )
        x, y = alt.X("tokens:Q", title="tokens"), alt.Y("share:Q", title="share of responses")
        charts.show(chart.encode(x=x, y=y, color=color, shape="model:N"), key="lengths")


def _histograms(reader: Reader, keys: tuple[Key, Key], pair: tuple[Responses, Responses]) -> None:
    for column, (_, model), responses in zip(st.columns(2), keys, pair, strict=True):
        with column:
            try:
                summary = token_summary(reader, reader.distributions(responses), responses)
            except MissingInputError as error:
                common.explain(error)
                continue
            chart = histogram(summary, f"Entropy by reward: {visible(model, 40)}", share=True)
            charts.show(chart, key=f"entropy-{model}")


def _flips(keys: tuple[Key, Key], pair: tuple[Responses, Responses]) -> None:
    means = [problem_means(responses) for responses in pair]
    apart = flips(*means)
    st.subheader("1 problem flips" if len(apart) == 1 else f"{len(apart)} problems flip")
    common.note("One model's mean reward is at least one half, the other's below; the widest apart first.")
    rows = []
    for problem, first, second in apart[:_MOST_FLIPS]:
        cells = [
            Cell(f"{mean:.2f}", level=round(6 * mean), page="problem", query=Link(*key, problem=problem).query())
            for key, mean in zip(keys, (first, second), strict=True)
        ]
        rows.append([Cell(problem), *cells])
    common.go(link_table("Problems that flip", ["problem", keys[0][1], keys[1][1]], rows, key="flips"))
