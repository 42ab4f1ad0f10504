"""Which other engines the job can be given to, and where they are. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Engine:
    """One that the job can be given to."""

    title: str
    module: str  # its program
    environment: str | None = None  # the folder of its environment, which `make` of this name makes; None: ours
    promised: Mapping[str, str] = field(default_factory=dict)  # by type: of our decoding as a ratio to its own


OURS = Engine("onoff", "benchmarks.others.by_onoff")
OTHERS = {
    "openvino": Engine(
        "OpenVINO GenAI",
        "benchmarks.others.by_openvino",
        ".venv-openvino",
        {"float32": ">= 1.2, or 0.9 of limit L", "bfloat16": ">= 1.0"},
    ),
    "vllm": Engine("vLLM-CPU", "benchmarks.others.by_vllm", ".venv-vllm"),
}


def named(text: str) -> tuple[str, Path]:
    """NAME=PYTHON, as a user says where an engine is. Raises `ValueError`."""
    name, _, python = text.partition("=")
    if name not in OTHERS or not python:
        raise ValueError(f"{text!r}: NAME=PYTHON is wanted, NAME one of {', '.join(OTHERS)}")
    path = Path(python).absolute()  # not resolved: an environment's Python is a link out of it
    if not path.is_file():
        raise ValueError(f"{text!r}: there is no {path}; make {OTHERS[name].environment}")
    return name, path


def pythons(told: Mapping[str, Path]) -> dict[str, Path]:
    """The Python of each engine that is there: as told, else of the environment that `make` makes."""
    usual = {
        name: ROOT / str(engine.environment) / "bin" / "python"
        for name, engine in OTHERS.items()
        if (ROOT / str(engine.environment) / "installed").is_file()
    }
    return {**usual, **told}


def left_out(found: Mapping[str, Path]) -> list[str]:
    """A sentence for each engine that is not there."""
    return [
        f"{engine.title} was left out, for it is not installed: make {engine.environment}, or --reference {name}=PYTHON"
        for name, engine in OTHERS.items()
        if name not in found
    ]
