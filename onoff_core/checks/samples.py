"""The invariants of a partition's samples."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from onoff_core.checks.evidence import Check, Evidence, Found, examples, keys_of
from onoff_core.tables import TRUNCATED

if TYPE_CHECKING:
    import pyarrow as pa

    from onoff_core.store import Store


def every_problem_has_its_samples(samples: "pa.Table", problem_ids: Sequence[str], num_samples: int | None) -> Evidence:
    """Each problem has samples 0 to num_samples - 1, each once, and there is no other row.

    Imported samples (`num_samples` None) do not say how many were asked for. Of these, each problem that is there has
    samples 0 to its last one.
    """
    rows = Counter(keys_of(samples))
    last: dict[str, int] = {}
    for problem, index in rows:
        last[problem] = max(index, last.get(problem, 0))
    counts = {problem: last.get(problem, -1) + 1 if num_samples is None else num_samples for problem in problem_ids}
    expected = {(problem, index) for problem, count in counts.items() for index in range(count)}
    missing, foreign = sorted(expected - rows.keys()), sorted(rows.keys() - expected)
    repeated = sorted(key for key, count in rows.items() if count > 1)
    wrong = [*missing, *foreign, *repeated]
    facts = {
        "expected": len(expected),
        "found": samples.num_rows,
        "missing": len(missing),
        "not asked for": len(foreign),
        "repeated": len(repeated),
        **examples(wrong),
    }
    return Evidence(not wrong, f"{len(expected) - len(missing)} of {len(expected)} responses are there", facts)


def token_ids_decode_to_response(
    samples: "pa.Table", pieces: Sequence[bytes], special: Sequence[bool], vocabulary: str
) -> Evidence:
    """The kept token ids, decoded by the model's vocabulary, give the kept text.

    A special token at the very end may be left out of the text.
    """
    wrong = []
    for row in samples.select(["problem_id", "sample_index", "token_ids", "response"]).to_pylist():
        ids = row["token_ids"]
        readings = [_text(ids, pieces)]
        if ids and special[ids[-1]]:
            readings.append(_text(ids[:-1], pieces))
        readings += [text.removeprefix(" ") for text in readings]  # SentencePiece decoders drop the first space
        if row["response"] not in readings:
            wrong.append((row["problem_id"], row["sample_index"]))
    facts = {"responses": samples.num_rows, "different": len(wrong), "vocabulary": vocabulary, **examples(wrong)}
    return Evidence(not wrong, f"{samples.num_rows - len(wrong)} of {samples.num_rows} responses agree", facts)


def few_responses_are_truncated(samples: "pa.Table", limit: float) -> Evidence:
    """The share of responses ended by max_length is at most automation.max_truncated_share."""
    truncated = sum(reason in TRUNCATED for reason in samples["finish_reason"].to_pylist())
    share = truncated / samples.num_rows if samples.num_rows else 0.0
    facts = {"truncated": truncated, "responses": samples.num_rows, "share": round(share, 4), "limit": limit}
    advice = "" if share <= limit else "; raise sampling.max_length, or automation.max_truncated_share if this is meant"
    return Evidence(share <= limit, f"{share:.1%} of the responses reached max_length{advice}", facts)


def _text(ids: Sequence[int], pieces: Sequence[bytes]) -> str:
    return b"".join(pieces[i] for i in ids).decode("utf-8", errors="replace")


SAMPLES_CHECKS = (
    Check(every_problem_has_its_samples, "blocks"),
    Check(token_ids_decode_to_response, "blocks"),
    Check(few_responses_are_truncated, "warns"),
)


def check_samples(store: "Store", key: tuple[str, str], max_truncated_share: float) -> Found:
    """The evidence on a partition's current samples, by check; the tables are read once."""
    from onoff_core.store.provenance import SamplesProvenance

    generation = store.require("samples", key)
    manifest, table = generation.manifest(), generation.read()
    asked = store.generation("problems", (key[0],), manifest.inputs["problems"]).read()["problem_id"].to_pylist()
    vocabulary = store.require("vocabulary", (key[1],))
    ids = vocabulary.read()
    pieces, special = ids["piece"].to_pylist(), ids["special"].to_pylist()
    num_samples = SamplesProvenance.of(manifest).num_samples
    return {
        "every_problem_has_its_samples": every_problem_has_its_samples(table, asked, num_samples),
        "token_ids_decode_to_response": token_ids_decode_to_response(table, pieces, special, vocabulary.fingerprint),
        "few_responses_are_truncated": few_responses_are_truncated(table, max_truncated_share),
    }
