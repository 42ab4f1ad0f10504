"""The files that settings stand in: find them, read them, and the store's place that they name."""

import copy
import functools
import math
import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from onoff_core.errors import SettingsError
from onoff_core.study.checking import shown
from onoff_core.study.settings import StoreSettings

CONFIG_NAME = "onoff.yaml"
_MOST_VALUES = 100_000
_MOST_BITS = 256  # of a number
_NO_PLAIN_INT = re.compile(r"[-+]?(0[0-9_]+|[0-9_]+(:[0-9]+)+)")  # 010 is 8, and 1:30 is 90
_MOST_BYTES_OF_A_NAME, _MOST_BYTES_OF_A_PATH = 255, 4095  # of Linux


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML without silently overwritten keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<: *anchor`, which pyyaml itself resolves
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise _fault(f"the key {shown(key)} is not a name", key_node)
            if key in seen:
                raise _fault(f"the key {shown(key)} stands here a second time", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge keys (`<<`), each value once: merges of merges would else list the same ones again and again."""
        super().flatten_mapping(node)
        last: dict[tuple[int, int], tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            pair = (id(key_node), id(value_node))
            last.pop(pair, None)
            last[pair] = (key_node, value_node)
        node.value = list(last.values())

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Of as many bits as anything here can want: Python cannot even print what hexadecimal digits may say."""
        value: int = super().construct_yaml_int(node)
        if value.bit_length() > _MOST_BITS:
            raise _fault(f"a number of more than {_MOST_BITS} bits", node)
        if _NO_PLAIN_INT.fullmatch(node.value):
            raise _fault(f"{node.value} is {value} to YAML; write {value}, or quotes around a text", node)
        return value


_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:int", _UniqueKeyLoader.construct_yaml_int)


def _fault(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")


def expanded(text: str, where: str) -> Path:
    """A path as a settings file writes it, with `~` and variables such as `$HOME` replaced; `where` names it in the
    error for a variable that is not set.
    """
    path = os.path.expandvars(text)
    _check_path(path, where)
    unset = _VARIABLE.search(path)
    try:
        home = Path(path).expanduser()
    except RuntimeError as error:
        raise SettingsError(f"{where}: {text}: there is no home folder for {Path(text).parts[0]}") from error
    if unset and not home.exists():  # a name may have a dollar sign of its own
        raise SettingsError(f"{where}: {text}: the variable {unset.group()} is not set")
    return home


def _check_path(path: str, where: str) -> None:
    """Raise where no file can have such a name: asking for one would end in an error of the system's."""
    if "\0" in path:
        raise SettingsError(f"{where}: {shown(path)} has a character of value 0, which no file's name has")
    longest = max(os.path.expanduser(path).split("/"), key=lambda part: len(os.fsencode(part)))
    if len(os.fsencode(longest)) > _MOST_BYTES_OF_A_NAME or len(os.fsencode(path)) > _MOST_BYTES_OF_A_PATH:
        raise SettingsError(
            f"{where}: {shown(path)} is longer than the name of a file can be ({_MOST_BYTES_OF_A_NAME} bytes)"
        )


def find_config(start: Path | None = None) -> Path:
    """The settings file: `ONOFF_CONFIG`, else `onoff.yaml` in `start` (the current folder) or the nearest parent."""
    named = os.environ.get("ONOFF_CONFIG")
    if named:
        path = expanded(named, "ONOFF_CONFIG").absolute()
        if not path.is_file():
            raise SettingsError(f"ONOFF_CONFIG names {path}, which is not a file")
        return path
    folder = (start or Path.cwd()).absolute()
    for candidate in (folder, *folder.parents):
        if (candidate / CONFIG_NAME).is_file():
            return candidate / CONFIG_NAME
    raise SettingsError(
        f"no {CONFIG_NAME} in {folder} or a folder above it. "
        "Go to the project's folder, or set ONOFF_CONFIG to the file"
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping."""
    try:
        raw = copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.MarkedYAMLError as error:
        raise SettingsError(f"{path}: not valid YAML: {_marked(error)}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date or number that there is not
        raise SettingsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: not valid YAML: nested too deeply") from error
    if _num_values(raw, {}) > _MOST_VALUES:
        raise SettingsError(f"{path}: its aliases (*name) repeat each other into more than {_MOST_VALUES:,} values")
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: must hold settings by name (name: value)")
    return raw


@functools.lru_cache(maxsize=8)
def _parsed(text: str) -> Any:
    """What a text says: every page of the browser asks, and reading YAML takes longer than all else of most pages."""
    return yaml.load(text, _UniqueKeyLoader)


def _num_values(value: Any, counted: dict[int, float]) -> float:
    """How many values there are when every alias is written out; without end where one contains itself.

    `counted`: by the identity of what was looked at already, so that this takes no longer than the file is.
    """
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in counted:
        counted[id(value)] = math.inf  # as long as it is not counted: whoever comes here again is within it
        inner = value.values() if isinstance(value, dict) else value
        counted[id(value)] = 1 + sum(_num_values(one, counted) for one in inner)
    return counted[id(value)]


def _marked(error: yaml.MarkedYAMLError) -> str:
    """What is wrong, with its place, in one line."""
    parts = [part for part in (error.context, error.problem) if part]
    mark = error.problem_mark or error.context_mark
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    tab = "; indent with spaces, not tabs" if error.problem and "'\\t'" in error.problem else ""
    return f"{', '.join(parts)}{place}{tab}"


def inline_or_file(
    inline: Any, named: Any, name: str, path: Path, root: Path, where: str = ""
) -> tuple[dict[str, Any], Path, str]:
    """A `task` or `sampling`, which stands in the file `path` or in another one that `task_config` or
    `sampling_config` names; null is an empty one.

    `where` is what stands before the keys in messages; relative paths start at `root`. Returns the settings, the file
    that holds them, and their key there.
    """
    if inline is not None and named is not None:
        raise SettingsError(f"{path}: {where}{name} and {where}{name}_config both stand there; keep one")
    if named is None:
        return _mapping(inline, path, f"{where}{name}"), path, f"{where}{name}"
    if not isinstance(named, str):
        raise SettingsError(f"{path}: {where}{name}_config: the path of a file is wanted, not {shown(named)}")
    other = root / expanded(named, f"{path}: {where}{name}_config")
    if not other.is_file():
        raise SettingsError(f"{path}: {where}{name}_config names {other}, which is not a file")
    content = read_yaml(other)
    return _mapping(content.get(name, content), other, name), other, name  # the file may repeat the section's name


def _mapping(raw: Any, path: Path, key: str) -> dict[str, Any]:
    if raw is not None and not isinstance(raw, dict):
        raise SettingsError(f"{path}: {key}: settings by name are wanted (name: value), not {shown(raw)}")
    return raw or {}


def resolve_store_path(store: StoreSettings, base_dir: Path) -> str:
    """Where results live: `ONOFF_STORE`, else `store.path`; an absolute path or a URL."""
    override = os.environ.get("ONOFF_STORE")
    path = override or store.path
    if "://" in path:
        return path if path.endswith("://") else path.rstrip("/")
    # ONOFF_STORE is typed in a shell and so is relative to where it was typed.
    return str((Path.cwd() if override else base_dir) / expanded(path, "ONOFF_STORE" if override else "store.path"))
