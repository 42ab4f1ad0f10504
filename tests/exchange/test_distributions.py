"""`distributions.json` and its NPZ of a partition written by hand, against golden files, and of a real one."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onoff_core import __version__
from onoff_core.distributions import load_distributions
from onoff_core.errors import ExchangeError, StoreError
from onoff_core.exchange import ExportOptions, export_distributions
from onoff_core.store import Store
from tests.conftest import ROOT
from tests.exchange.conftest import Finished
from tests.exchange.handmade import KEY, PIECES, distributions_table, handmade_store, logprobs_of

GOLDEN = Path(__file__).parent / "golden"
V = len(PIECES)


def export(store: Store, folder: Path, options: ExportOptions | None = None) -> Path:
    export_distributions(store, KEY, folder, options)
    return folder


@pytest.mark.parametrize(
    ("name", "top_k", "options"),
    [
        ("top_k", 2, ExportOptions()),
        ("top_k_dense_logits", 2, ExportOptions(dense=True, use_logits=True)),
        ("whole_legacy", None, ExportOptions(legacy_token_strings=True)),
    ],
)
def test_golden_files(tmp_path: Path, name: str, top_k: int | None, options: ExportOptions) -> None:
    ours = export(handmade_store(tmp_path, top_k), tmp_path / "out", options)
    golden = GOLDEN / name
    text = (ours / "distributions.json").read_text("utf-8").replace(f'"onoff {__version__}"', '"onoff 0.1.0"')
    assert text == (golden / "distributions.json").read_text("utf-8")
    got, wanted = (np.load(folder / "distributions.npz", allow_pickle=False) for folder in (ours, golden))
    with got, wanted:
        assert got.files == wanted.files
        for key in wanted.files:
            assert got[key].dtype == wanted[key].dtype
            np.testing.assert_allclose(got[key], wanted[key], rtol=1e-6)


def test_top_k_values_are_the_models_own(tmp_path: Path) -> None:
    data = load_distributions(export(handmade_store(tmp_path, 2), tmp_path / "out"))
    assert data["prompts"] == ["Question: 2 + 3?\nAnswer:"]
    first = data["results"][0]["samples"][0]
    top_k, truth = first["distributions"], np.exp(logprobs_of(6, V))
    assert top_k.shape == truth.shape
    kept = np.argsort(-truth, axis=1)[:, :2]
    np.testing.assert_array_equal(top_k.indices, kept)
    np.testing.assert_allclose(top_k.values, np.take_along_axis(truth, kept, 1), rtol=1e-6)  # never renormalised
    np.testing.assert_allclose(first["entropies"], -(truth * np.log(truth)).sum(1), rtol=1e-5)
    assert np.asarray(top_k)[0].nonzero()[0].tolist() == [0, 1]


def test_dense_is_the_same_array(tmp_path: Path) -> None:
    store = handmade_store(tmp_path, 2)
    for use_logits in (False, True):
        options = ExportOptions(use_logits=use_logits)
        sparse = load_distributions(export(store, tmp_path / "sparse", options))
        dense = load_distributions(export(store, tmp_path / "dense", ExportOptions(use_logits, dense=True)))
        for a, b in zip(sparse["results"][0]["samples"], dense["results"][0]["samples"], strict=True):
            np.testing.assert_array_equal(np.asarray(a["distributions"]), b["distributions"])


def test_whole_vocabulary_and_logits(tmp_path: Path) -> None:
    """Logits are log-probability plus logsumexp; their softmax is the distribution."""
    store = handmade_store(tmp_path, None)
    array = load_distributions(export(store, tmp_path / "out", ExportOptions(use_logits=True)))["results"][0][
        "samples"
    ][0]["distributions"]
    assert array.shape == (6, V)
    np.testing.assert_allclose(array, logprobs_of(6, V) + np.arange(6)[:, None], rtol=1e-6)


def test_token_strings_of_a_cut_character(tmp_path: Path) -> None:
    data = load_distributions(export(handmade_store(tmp_path, 2), tmp_path / "out"))
    first, second = data["results"][0]["samples"]
    assert first["token_strings"] == ["2", " + 3", " = 5", "", "€", ""]
    for response in (first, second):
        assert "".join(response["token_strings"]) == response["text"]


def test_a_real_partition(finished: Finished, tmp_path: Path) -> None:
    export_distributions(finished.store, finished.key, tmp_path / "out")
    data = load_distributions(tmp_path / "out")
    samples = finished.store.require("samples", finished.key).read().to_pylist()
    scored = finished.store.require("token_distributions", finished.key).read().to_pylist()
    ours = [s for result in data["results"] for s in result["samples"]]
    assert [s["text"] for s in ours] == [row["response"] for row in samples]
    assert len(data["prompts"]) == data["metadata"]["num_prompts"] == 4
    for response in ours:
        assert "".join(response["token_strings"]) == response["text"]
        assert len(response["token_strings"]) == len(response["entropies"]) == len(response["distributions"])
    np.testing.assert_allclose([e for s in ours for e in s["entropies"]], [row["entropy"] for row in scored])
    values = np.concatenate([s["distributions"].values for s in ours])
    np.testing.assert_allclose(values, np.exp([row["topk_logprobs"] for row in scored]), rtol=1e-6)


def test_a_real_partition_with_the_whole_vocabulary(finished_whole_vocabulary: Finished, tmp_path: Path) -> None:
    finished = finished_whole_vocabulary
    export_distributions(finished.store, finished.key, tmp_path / "out")
    for result in load_distributions(tmp_path / "out")["results"]:
        for response in result["samples"]:
            array = response["distributions"]
            np.testing.assert_allclose(array.sum(1), 1, atol=2e-3)  # 10 mantissa bits a log-probability
            entropies = -(array * np.log(array)).sum(1)
            np.testing.assert_allclose(entropies, response["entropies"], atol=2e-2)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    store = handmade_store(tmp_path, 2)
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ExchangeError, match=r"distributions\.json: cannot be written \((File exists|Not a dir)"):
            export(store, folder)
    assert (tmp_path / "file").read_text() == "mine"


_FULL = """
import resource, signal, sys
from pathlib import Path
from onoff_core.errors import ExchangeError
from onoff_core.exchange import ExportOptions, export_distributions
from onoff_core.store import Store
from tests.exchange.handmade import KEY
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    export_distributions(Store(sys.argv[1]), KEY, Path(sys.argv[2]), ExportOptions(dense=True))
except ExchangeError as error:
    print(error)
"""


def test_a_disk_that_is_full_leaves_the_files_that_were_there(tmp_path: Path) -> None:
    """The kernel's limit on a file's size stands for the disk's."""
    from tests.exchange.handmade import uniform_store

    before = export(handmade_store(tmp_path, 2), tmp_path / "out")
    old = {path.name: path.read_bytes() for path in before.iterdir()}
    store = uniform_store(tmp_path / "large", 2_000, vocab_size=1024)
    command = [sys.executable, "-c", _FULL, str(store.root), str(tmp_path / "out")]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "distributions.npz: cannot be written" in said
    assert {path.name: path.read_bytes() for path in before.iterdir()} == old


@pytest.mark.parametrize("rows", ["fewer", "more", "others"])
def test_rows_that_do_not_fit_the_samples(tmp_path: Path, rows: str) -> None:
    store = handmade_store(tmp_path, 2)
    made = [distributions_table("p", i, [0] * n, logprobs_of(n, V), 2) for i, n in ((0, 6), (1, 3))]
    extra = distributions_table("p", 2, [0], logprobs_of(1, V), 2)
    tables = {"fewer": made[:1], "more": [*made, extra], "others": made[::-1]}[rows]
    store.require("token_distributions", KEY).write_fragment(0, tables)
    with pytest.raises(StoreError, match="run: onoff verify"):
        export(store, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


# The process's own peak; getrusage would count its parent's, which wrote the data.
_PEAK = """
import re, sys
from pathlib import Path
from onoff_core.exchange import export_distributions
from onoff_core.store import Store
from tests.exchange.handmade import KEY
export_distributions(Store(sys.argv[1]), KEY, Path(sys.argv[2]))
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_stays_flat(tmp_path: Path) -> None:
    """One response of 100,000 tokens x 512 ids is 200 MB of probabilities; exporting it takes no such memory."""
    from tests.exchange.handmade import uniform_store

    peaks = []
    for num_tokens in (500, 100_000):
        store = uniform_store(tmp_path / str(num_tokens), num_tokens, vocab_size=512)
        command = [sys.executable, "-c", _PEAK, str(store.root), str(tmp_path / f"out-{num_tokens}")]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        peaks.append(int(said.stdout))
    with np.load(tmp_path / "out-100000" / "distributions.npz") as npz:
        assert npz["results[0].samples[0].distributions"].shape == (100_000, 512)
    assert len(json.loads((tmp_path / "out-100000" / "distributions.json").read_text())["results"]) == 1
    assert peaks[1] - peaks[0] < 100, f"MB: {peaks}"
