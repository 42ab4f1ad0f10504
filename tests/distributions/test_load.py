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
    assert opened == ["results[0].samples[1].distributions.npy"]


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
        (["text"], {key(): np.ones((3, 4))}, r"results\[0\].samples\[0\] must hold values by name"),
    ],
)
def test_files_that_contradict_themselves(tmp_path: Path, samples: Any, arrays: Any, said: str) -> None:
    with pytest.raises(ExchangeError, match=said):
        load_distributions(write(tmp_path, samples, arrays))


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
