"""`load_distributions` opens our exports and the research scripts' own files, and says what is wrong with others."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onoff_core.distributions import TopK, load_distributions
from onoff_core.errors import ExchangeError
from tests.conftest import ROOT

INDICES = np.array([[2, 0], [1, 3], [3, 2]], dtype=np.int64)
VALUES = np.array([[0.75, 0.25], [0.5, 0.25], [1.0, 0.0]], dtype=np.float32)


def sample(num_tokens: int, **changes: Any) -> dict[str, Any]:
    return {
        "text": "a" * num_tokens,
        "token_strings": ["a"] * num_tokens,
        "distributions": "distributions.npz:results[0].samples[0].distributions",
        "entropies": [0.5] * num_tokens,
        **changes,
    }


def write(
    folder: Path, samples: list[Any], arrays: dict[str, np.ndarray], metadata: dict[str, Any] | None = None
) -> Path:
    (folder / "distributions.json").write_text(
        json.dumps({"metadata": metadata or {}, "prompts": ["p"], "results": [{"samples": samples}]})
    )
    np.savez_compressed(folder / "distributions.npz", **arrays)
    return folder


def key(part: str = "") -> str:
    return f"results[0].samples[0].distributions{part}"


def one(path: Path) -> Any:
    return load_distributions(path)["results"][0]["samples"][0]


def test_a_dense_array(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    first = one(write(tmp_path, [sample(3)], {key(): array}))
    assert list(first) == ["text", "token_strings", "distributions", "entropies"]
    assert np.array_equal(first["distributions"], array)
    assert first["entropies"] == [0.5, 0.5, 0.5]


def test_top_k_behaves_as_the_array_it_stands_for(tmp_path: Path) -> None:
    arrays = {key(".indices"): INDICES, key(".values"): VALUES, "vocab_size": np.array(4)}
    top_k = one(write(tmp_path, [sample(3)], arrays))["distributions"]
    dense = np.array([[0.25, 0, 0.75, 0], [0, 0.5, 0, 0.25], [0, 0, 0, 1]], dtype=np.float32)
    assert isinstance(top_k, TopK)
    assert (top_k.shape, len(top_k)) == ((3, 4), 3)
    assert np.array_equal(np.asarray(top_k), dense)
    assert np.array_equal(np.stack(list(top_k)), dense)
    assert np.asarray(top_k, dtype=np.float64).dtype == np.float64
    logits = one(write(tmp_path, [sample(3)], arrays, {"distribution_type": "logits"}))["distributions"]
    assert logits[0][1] == -np.inf


def test_the_scripts_own_output(tmp_path: Path) -> None:
    old = [
        {"text": "aaa", "token_strings": ["a", "a", "a"], "per_token_entropy": [0.1, 0.2, 0.3]},
        {"text": "a", "token_strings": ["a"], "per_token_entropy": [0.4]},
    ]
    arrays = {
        "dist_0_indices": INDICES,
        "dist_0_values": VALUES,
        "dist_1_indices": INDICES[:1],
        "dist_1_values": VALUES[:1],
    }
    data = load_distributions(write(tmp_path, old, arrays, {"vocab_size": 4}))
    first, second = data["results"][0]["samples"]
    assert first["entropies"] == [0.1, 0.2, 0.3] == first["per_token_entropy"]
    assert first["distributions"].dense()[0].tolist() == [0.25, 0, 0.75, 0]
    assert second["distributions"].shape == (1, 4)
    unsaid = one(write(tmp_path, old, arrays))["distributions"]
    assert unsaid.indices.tolist() == INDICES.tolist()
    assert unsaid.dense(vocab_size=4).shape == (3, 4)
    with pytest.raises(ExchangeError, match="how large the vocabulary is"):
        unsaid.dense()


def test_arrays_are_read_when_touched_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    plain = zipfile.ZipFile.open

    def watched(self: zipfile.ZipFile, name: Any, *args: Any, **kwargs: Any) -> Any:
        opened.append(str(name))
        return plain(self, name, *args, **kwargs)

    second = sample(2, distributions="distributions.npz:results[0].samples[1].distributions")
    arrays = {key(): np.ones((3, 4)), "results[0].samples[1].distributions": np.zeros((2, 4))}
    folder = write(tmp_path, [sample(3), second], arrays)
    monkeypatch.setattr(zipfile.ZipFile, "open", watched)
    samples = load_distributions(folder / "distributions.json")["results"][0]["samples"]
    assert [s["text"] for s in samples] == ["aaa", "aa"]
    assert opened == []
    samples[1]["distributions"]
    assert set(opened) == {"results[0].samples[1].distributions.npy"}  # its header, and then all of it


def test_reading_needs_no_torch() -> None:
    code = "import sys; from onoff_core.distributions import load_distributions; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_a_truncated_npz(tmp_path: Path) -> None:
    folder = write(tmp_path, [sample(3)], {key(): np.ones((3, 4))})
    whole = (folder / "distributions.npz").read_bytes()
    (folder / "distributions.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExchangeError, match=r"distributions\.npz: not a whole NPZ file.*copy or export it again"):
        load_distributions(folder)
    (folder / "distributions.npz").unlink()
    with pytest.raises(ExchangeError, match=r"distributions\.npz: no such file"):
        load_distributions(folder)


def test_a_damaged_array(tmp_path: Path) -> None:
    folder = write(tmp_path, [sample(300)], {key(): np.random.default_rng(0).random((300, 4))})
    content = bytearray((folder / "distributions.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / "distributions.npz").write_bytes(content)
    first = one(folder)
    with pytest.raises(ExchangeError, match=r"results\[0\]\.samples\[0\]\.distributions is damaged"):
        first["distributions"]


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    folder = write(tmp_path, [sample(1)], {key(): np.array([[{"an": "object"}]], dtype=object)})
    first = one(folder)
    with pytest.raises(ExchangeError, match="allow_pickle"):
        first["distributions"]


@pytest.mark.parametrize(
    ("samples", "arrays", "said"),
    [
        ([sample(3, entropies=[0.5])], {key(): np.ones((3, 4))}, r"results\[0\].samples\[0\] has 1 entropies, but 3"),
        ([sample(3, entropies=None)], {key(): np.ones((3, 4))}, "has no list 'entropies'"),
        ([sample(3)], {"other": np.ones((3, 4))}, r"not in .*distributions\.npz"),
        ([sample(3, entropies=[0.5, None, 1])], {key(): np.ones((3, 4))}, "has entropies that are no numbers"),
        (["text"], {key(): np.ones((3, 4))}, r"results\[0\].samples\[0\] must hold values by name"),
    ],
)
def test_files_that_contradict_themselves(tmp_path: Path, samples: Any, arrays: Any, said: str) -> None:
    with pytest.raises(ExchangeError, match=said):
        load_distributions(write(tmp_path, samples, arrays))


class _Hostile(bytes):
    """A member of an archive as it stands, with a header of its own making."""

    @classmethod
    def of(cls, header: str, payload: bytes = b"") -> "_Hostile":
        text = header.encode().ljust(118 + 64 * (len(header) // 64)) + b"\n"
        return cls(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + payload)


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (_Hostile.of("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 10000000000000), }"), "is damaged"),
        (_Hostile.of("{'descr': '<f4', 'fortran_order': False, 'shape': (3, -1), }"), "is damaged"),
        (_Hostile.of("{'descr': '<f4', 'fortran"), "is damaged"),
        (_Hostile.of("__import__('os').getcwd()"), "is damaged"),
        (_Hostile(b"junk"), "is damaged"),
        (np.array([["a"]] * 3), "holds no numbers, but <U1"),
        (np.zeros((3, 2), dtype=[("a", "f4")]), "holds no numbers"),
        (np.zeros((3, 3)), r"has shape \(3, 3\), but the vocabulary has 4 tokens"),
    ],
)
def test_an_array_that_is_none(tmp_path: Path, member: Any, said: str) -> None:
    arrays = {"vocab_size": np.array(4)} | ({} if isinstance(member, bytes) else {key(): member})
    folder = write(tmp_path, [sample(3)], arrays)
    if isinstance(member, bytes):
        with zipfile.ZipFile(folder / "distributions.npz", "a") as archive:
            archive.writestr(f"{key()}.npy", member)
    first = one(folder)
    with pytest.raises(ExchangeError, match=said):
        first["distributions"]


@pytest.mark.parametrize("indices", [INDICES + 2, INDICES - 1, INDICES + 0.5])
def test_indices_that_are_no_token_ids(tmp_path: Path, indices: np.ndarray) -> None:
    arrays = {key(".indices"): indices, key(".values"): VALUES, "vocab_size": np.array(4)}
    first = one(write(tmp_path, [sample(3)], arrays))
    with pytest.raises(ExchangeError, match="holds numbers that are no token ids"):
        first["distributions"]


def test_a_tokenizers_size_in_the_metadata_may_be_too_small(tmp_path: Path) -> None:
    """Models have more logits than their tokenizers say they have tokens, and `<|im_end|>` is among them."""
    metadata = {"vocab_size": 3}
    assert one(write(tmp_path, [sample(3)], {key(): np.ones((3, 4))}, metadata))["distributions"].shape == (3, 4)
    arrays = {key(".indices"): INDICES, key(".values"): VALUES}
    top_k = one(write(tmp_path, [sample(3)], arrays, metadata))["distributions"]
    assert top_k.dense(vocab_size=4).shape == (3, 4)
    with pytest.raises(ExchangeError, match="how large the vocabulary is"):
        top_k.dense()


@pytest.mark.parametrize("size", [np.array([1, 2]), np.array(-4), np.array(1.5), np.array(10**17)])
def test_a_vocabulary_size_that_is_none(tmp_path: Path, size: np.ndarray) -> None:
    with pytest.raises(ExchangeError, match=r"distributions\.npz: vocab_size should be the number of tokens, not"):
        load_distributions(write(tmp_path, [sample(3)], {key(): np.ones((3, 4)), "vocab_size": size}))


def test_arrays_of_another_length(tmp_path: Path) -> None:
    first = one(write(tmp_path, [sample(3)], {key(): np.ones((2, 4))}))
    with pytest.raises(ExchangeError, match=r"has shape \(2, 4\), but .* has 3 tokens"):
        first["distributions"]
    first = one(write(tmp_path, [sample(3)], {key(".indices"): INDICES, key(".values"): VALUES[:2]}))
    with pytest.raises(ExchangeError, match="indices of shape"):
        first["distributions"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"metadata": {}, "results": [', "not valid JSON, or cut off"),
        ("[" * 200_000, "not valid JSON, or cut off"),
        ('{"metadata": {}}', "has no list 'results'"),
        ('{"results": [{"prompt": 1}]}', r"results\[0\] has no list 'samples'"),
        ('{"prompts": ["a"], "results": []}', "prompts must be a list as long as results"),
    ],
)
def test_a_wrong_json(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, [], {key(): np.ones((1, 1))})
    (tmp_path / "distributions.json").write_text(text)
    with pytest.raises(ExchangeError, match=said):
        load_distributions(tmp_path)
