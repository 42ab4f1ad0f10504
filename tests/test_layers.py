"""Imports point down only, and loading the definitions stays cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Lowest first; a package may import from its own level only itself.
LAYERS: list[set[str]] = [
    {"errors"},
    {"boxes", "tables", "progress"},
    {"study"},
    {"problems"},
    {"tasks"},
    {"backends"},
    {"sampling", "rewards", "statistics", "distributions"},
    {"store"},
    {"checks"},
    {"grid"},
    {"export"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
HEAVY = ("torch", "transformers", "datasets", "streamlit")


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return names


def core_modules() -> list[Path]:
    return [
        p
        for p in sorted((ROOT / "onoff_core").rglob("*.py"))
        if p.parent != ROOT / "onoff_core" or p.stem != "__init__"
    ]


@pytest.mark.parametrize("path", core_modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_core_imports_point_down(path: Path) -> None:
    own = path.relative_to(ROOT / "onoff_core").parts[0].removesuffix(".py")
    assert own in LEVEL, f"{own} has no place in the layers"
    for module in imported_modules(path):
        assert module.split(".")[0] not in {"dagster", "streamlit", "onoff_assets"}, module
        parts = module.split(".")
        if parts[0] == "onoff_core" and len(parts) > 1 and parts[1] != own:
            assert LEVEL[parts[1]] < LEVEL[own], f"{own} imports {module}, which is not below it"


def test_browser_never_loads_a_model() -> None:
    for path in (ROOT / "onoff_assets" / "browser").rglob("*.py"):
        for module in imported_modules(path):
            assert not module.startswith(("torch", "transformers", "onoff_core.backends", "dagster")), (
                f"{path}: {module}"
            )


def test_definitions_load_without_heavy_libraries() -> None:
    code = (
        "import sys, onoff_assets.definitions as d; d.defs.resolve_all_asset_specs(); "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
