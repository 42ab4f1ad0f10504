"""The job as a run of ours: samples with log-probabilities, rewards and statistics, written to a store of its own."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.dataset

import onoff_core
from benchmarks.others.job import Done, Job, serve
from onoff_core.grid.materialize import materialize_rewards, materialize_samples, materialize_statistics
from onoff_core.store import Store
from onoff_core.study import parse_study


def run(job: Job) -> Done:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lines = [json.dumps(problem) for problem in job.problems]
        (folder / "problems.jsonl").write_text("\n".join(lines))
        options = {"device": "cpu", "torch_dtype": job.dtype}
        study = parse_study(
            {
                "datasets": {"job": {"path": "problems.jsonl"}},
                "models": {"model": {"model_name": job.model, "backend_specific": options}},
                "sampling": {
                    "max_length": job.max_tokens,
                    "num_samples": job.samples,
                    "batch_size": job.rows,
                    "temperature": 1.0,
                    "seed": 0,
                },
            },
            folder / "onoff.yaml",
        )
        partition, store = study.partition("job|model"), Store(study.store_path)
        made = materialize_samples(partition, store)
        materialize_rewards(partition, store)
        materialize_statistics(partition, store)
        fragments = sorted(str(path) for path in folder.rglob("samples/**/*.parquet"))
        columns = ["prompt_token_ids", "token_ids", "finish_reason"]
        rows = pyarrow.dataset.dataset(fragments).to_table(columns).to_pylist()
    return Done(lengths(rows, job), made.manifest.facts["seconds"], onoff_core.__version__)


def lengths(rows: Sequence[Mapping[str, Any]], job: Job) -> list[int]:
    """Of the responses, as `Done` wants them. Raises `RuntimeError` where they are not to the job's prompts."""
    if {tuple(row["prompt_token_ids"]) for row in rows} != set(map(tuple, job.prompts)):
        raise RuntimeError("other prompts were drawn from than the job's")
    return [len(row["token_ids"]) - (row["finish_reason"] == "stop") for row in rows]


if __name__ == "__main__":
    serve(run)
