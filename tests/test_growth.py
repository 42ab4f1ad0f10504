"""Small files that grow without measure when they are read are refused, wherever a stranger's file is read."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onoff_core import growth
from onoff_core.errors import DatasetError, ExchangeError, StoreError
from onoff_core.exchange.load import _Archive
from onoff_core.problems.files import read_rows
from onoff_core.store import Store
from tests.store.making import make_partition


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a megabyte were much."""
    monkeypatch.setattr(growth, "LEAST_BYTES", 1 << 20)


def parquet_of_one_text(path: Path, name: str = "question") -> None:
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int32)), pa.array(["x" * 5000]))
    pq.write_table(pa.table({name: text, "answer": text}), path, compression="zstd")


def parquet_of_zeros(path: Path) -> None:
    pq.write_table(pa.table({"question": ["a" * (4 << 20)]}), path, compression="zstd", use_dictionary=False)


def compressed_lines(path: Path) -> None:
    path.write_bytes(gzip.compress(b" " * (4 << 20)))


@pytest.mark.parametrize(
    ("name", "write"),
    [("one.parquet", parquet_of_one_text), ("zeros.parquet", parquet_of_zeros), ("rows.jsonl.gz", compressed_lines)],
)
def test_a_data_set(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    with pytest.raises(DatasetError, match=r"bytes grow to more than .* when they are read"):
        read_rows(tmp_path / name)


def test_what_grows_as_texts_do_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(map(str, rng.integers(0, 9, 5000))) for _ in range(400)]
    pq.write_table(pa.table({"question": texts, "answer": ["1"] * 400}), tmp_path / "a.parquet", compression="zstd")
    assert [row["question"] for row in read_rows(tmp_path / "a.parquet")] == texts
    table = pq.read_table(tmp_path / "a.parquet")
    with (tmp_path / "a.parquet").open("rb") as file:
        assert growth.read_table(file, ["answer", "gone"]).equals(table.select(["answer"]))


def test_a_strangers_fragment(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    make_partition(store)
    parquet_of_one_text(Path(store.root) / "samples/d1/m1/bbbb1/00000.parquet", "response")
    with pytest.raises(StoreError, match="grow to more than"):
        store.require("samples", ("d1", "m1")).read()


@pytest.mark.parametrize(
    ("shape", "said"), [((2, 1 << 47), "larger than what is there"), ((1, 1 << 25), "wider than any vocabulary")]
)
def test_an_npz(tmp_path: Path, shape: tuple[int, int], said: str) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as file:
        header = {"descr": "|i1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(1 << 25))
    with pytest.raises(ExchangeError, match=said):
        _Archive(path).read("a")
