"""Models that come as a GGUF file, in an installed wheel or by themselves, converted once into safetensors.

transformers reads GGUF by dequantizing in Python (about 30 s for 135M weights) and refuses to save the result; the
model is rebuilt from its configuration and state, saved, and loaded from there ever after (about 1 s).
"""

import importlib.util
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import filelock
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from onoff_core.backends.identity import PYPI_PREFIX, file_hash, package_version
from onoff_core.errors import ModelError

logger = logging.getLogger(__name__)


def cache_dir() -> Path:
    """Where converted models are kept: `ONOFF_CACHE`, else `onoff` in the user's cache folder."""
    named = os.environ.get("ONOFF_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "onoff"


def embedded_model_folder(package: str) -> Path:
    """The folder of a package's model, converted now if it has not been; safe among processes that ask at once."""
    name = f"{package}-{package_version(package)}"
    folder = cache_dir() / "models" / name
    return folder if folder.is_dir() else _converted(lambda: _gguf_file(package), folder, f"{PYPI_PREFIX}{package}")


def converted_folder(gguf: Path) -> Path:
    """The folder that a GGUF file was converted into, by the file's content; converted now if it has not been."""
    folder = cache_dir() / "models" / f"{gguf.stem}-{file_hash(gguf)}"
    return folder if folder.is_dir() else _converted(lambda: gguf, folder, str(gguf))


def _converted(find: Callable[[], Path], folder: Path, what: str) -> Path:
    gguf = find()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                _convert(gguf, folder)
    except OSError as error:
        raise ModelError(
            f"{what}: cannot be converted into {folder} ({error.strerror or error}); "
            "set ONOFF_CACHE to a folder with room for it"
        ) from error
    except Exception as error:  # transformers and gguf say in many ways that a file is damaged or of a kind unknown
        raise ModelError(
            f"{what}: cannot be read as a model in GGUF: {error}; download it again, or name the model's safetensors"
        ) from error
    return folder


def _gguf_file(package: str) -> Path:
    spec = importlib.util.find_spec(package.replace("-", "_"))
    places = list(spec.submodule_search_locations or []) if spec else []
    files = [file for place in places for file in sorted(Path(place).glob("*.gguf"))]
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise ModelError(f"pypi:{package}: a package with exactly one .gguf file is wanted; found: {found}")
    return files[0]


def _convert(gguf: Path, folder: Path) -> None:
    """Write `folder` whole or not at all."""
    logger.info("converting %s, once (about half a minute)", gguf.name)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        config = loaded.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config  # the weights are whole numbers no longer
        model = type(loaded)(config)
        model.load_state_dict(loaded.state_dict())
        model.generation_config = loaded.generation_config
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        os.replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
