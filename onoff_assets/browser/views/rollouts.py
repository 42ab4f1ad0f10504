"""Rollouts: the log-probabilities that a training run recorded, against ours and each other."""

from typing import Any

import streamlit as st

from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.links import Link
from onoff_assets.browser.reading import Key
from onoff_assets.browser.text import escaped
from onoff_assets.browser.views import common, strip
from onoff_core.store import Generation, Store

_MOST_ROWS = 200
_HEADER = ["ratio of", "tokens", "mean ratio", "K1 (nats)", "K3 (nats)", "sample size", "vetoed"]
_WORST = ["problem", "sample", "ratio of", "K3 (nats)", "largest at token", "its log ratio", "sample size", "tokens"]


def show() -> None:
    reader, link = common.reader(), common.link_here()
    key = common.choose_partition(reader, link)
    if key is None:
        return
    common.keep_link(Link(*key))
    strip.show(reader, key)
    st.title("Rollouts")
    of_partition = _current(reader.store, "rollout_mismatch_statistics", key)
    of_responses = _current(reader.store, "rollout_mismatch", key)
    if of_partition is None or of_responses is None:
        st.info(
            f"{escaped('|'.join(key))} has no log-probabilities of a training run beside ours. `onoff import` brings "
            "rollouts in, and `token_distributions`, made after that, compares them."
        )
        return
    common.note(
        "Each pair of log-probabilities of the same tokens: ours (scored here), the engine's that drew them (rollout) "
        "and the trainer's. K1 and K3 estimate the divergence a token; the effective sample sizes are shares, 1 where "
        "the two agree; vetoed are responses with a token whose ratio is below the threshold."
    )
    link_table("Mismatch", _HEADER, [_pair(row) for row in of_partition.read().to_pylist()], key="mismatch")
    st.subheader("Where they differ most")
    rows = sorted(of_responses.read().to_pylist(), key=lambda row: -row["k3"])
    if len(rows) > _MOST_ROWS:
        common.note(f"The first {_MOST_ROWS} of {len(rows)} are shown; SQL has all of them, in rollout_mismatch.")
    common.go(link_table("Responses by K3", _WORST, [_response(key, row) for row in rows[:_MOST_ROWS]], key="worst"))


def _current(store: Store, table: str, key: Key) -> Generation | None:
    """The table's generation that belongs to the current token distributions; None: there is none."""
    made, scored = store.current(table, key), store.current("token_distributions", key)
    return made if made is not None and scored is not None and made.fingerprint == scored.fingerprint else None


def _pair(row: dict[str, Any]) -> list[Cell]:
    veto = "; ".join(f"{_share(entry['responses'])} below {entry['threshold']:g}" for entry in row["vetoed"] or [])
    numbers = [f"{row['num_tokens']:,}", _number(row["mean_ratio"]), _number(row["k1"]), _number(row["k3"])]
    return [
        Cell(_names(row), whole=True, note=row["reason"] or ""),
        *(Cell(number, number=True) for number in numbers),
        Cell(_share(row["token_ess_share"]), note=f"responses {_share(row['response_ess_share'])}", number=True),
        Cell(veto or "–", prose=True),
    ]


def _response(key: Key, row: dict[str, Any]) -> list[Cell]:
    at = int(row["worst_position"])
    where = Link(*key, problem=row["problem_id"], sample=row["sample_index"])
    token = Link(*key, problem=row["problem_id"], sample=row["sample_index"], token=at)
    largest = max(row["lowest_log_ratio"], row["highest_log_ratio"], key=abs)
    return [
        Cell(row["problem_id"], breaks=True, page="response", query=where.query()),
        Cell(str(row["sample_index"]), number=True, page="response", query=where.query()),
        Cell(_names(row), whole=True),
        Cell(_number(row["k3"]), number=True),
        Cell(str(at), number=True, page="response", query=token.query()),
        Cell(f"{largest:+.3f}", number=True),
        Cell(_share(row["ess_share"]), number=True),
        Cell(str(row["num_tokens"]), number=True),
    ]


def _names(row: dict[str, Any]) -> str:
    return f"{row['numerator']} to {row['denominator']}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
