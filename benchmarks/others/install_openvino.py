"""Build an environment of its own with OpenVINO GenAI for the CPU: `python install_openvino.py FOLDER`.

Next to it what converts a model into its form, optimum-intel, which wants another transformers than ours.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = ("openvino-genai==2026.4.1.0", "optimum-intel==2.2.0")
TORCH = "torch==2.13.0"


def install(folder: Path) -> None:
    """Make the environment, whole or not at all: the file `installed` is written last."""
    done, wanted = folder / "installed", " ".join((TORCH, *REQUIREMENTS))
    if done.is_file() and done.read_text() == wanted:
        return
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    index = os.environ.get("TORCH_INDEX")
    subprocess.run([*pip, *(["--index-url", index] if index else []), TORCH], check=True)
    subprocess.run([*pip, TORCH, *REQUIREMENTS], check=True)
    subprocess.run([*pip[:3], "uninstall", "--quiet", "--yes", "torchvision"], check=True)  # of another torch
    done.write_text(wanted)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
