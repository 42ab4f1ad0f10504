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
    {"columns"},
    {"branch_tables", "confidence_tables"},
    {"cross_tables", "grid_tables", "rollout_tables", "thinking_tables"},
    {"atomic", "boxes", "commands", "growth", "tables", "progress"},
    {"study"},
    {"problems"},
    {"tasks"},
    {"backends"},
    {"machine", "sampling", "rewards", "statistics", "distributions"},
    {"confidence", "cross"},
    {"store"},
    {"branches"},
    {"checks"},
    {"grid"},
    {"exchange", "series"},
    {"cli"},
    {"frames"},
]
# Names that notebooks know from where they once were: (module, what it may import from above itself, when asked).
FORMER_NAMES = {
    ("distributions/__init__.py", "onoff_core.exchange"),
    ("distributions/__init__.py", "onoff_core.exchange.load"),
}
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


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_among(paths: list[Path]) -> dict[str, set[str]]:
    """Which of the modules each of them imports, within functions too; a name may be one of a package."""
    modules = {module_of(path) for path in paths}
    found: dict[str, set[str]] = {}
    for path in paths:
        names = imported_modules(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                members = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= members
                if members <= modules:  # `from package import module`: the package's own names are not asked for
                    names.discard(node.module)
        found[module_of(path)] = names & modules
    return found


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Modules each of which imports the next, and the last the first; empty where there is no such circle."""
    done: set[str] = set()

    def visit(module: str, above: list[str]) -> list[str]:
        if module in above:
            return above[above.index(module) :]
        if module in done:
            return []
        for imported in sorted(imports[module]):
            if found := visit(imported, [*above, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(imports) if (found := visit(module, []))), [])


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_module_imports_itself_through_others() -> None:
    paths = [path for package in ("onoff_core", "onoff_assets") for path in sorted((ROOT / package).rglob("*.py"))]
    assert circle(imports_among(paths)) == []


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
        if (str(path.relative_to(ROOT / "onoff_core")), module) in FORMER_NAMES:
            continue
        if parts[0] == "onoff_core" and len(parts) > 1 and parts[1] != own:
            assert LEVEL[parts[1]] < LEVEL[own], f"{own} imports {module}, which is not below it"


ENGINES_OF_TORCH = ROOT / "onoff_core" / "backends" / "huggingface"


TORCH_AND_KIN = {"torch", "transformers", "accelerate", "numba", "peft", "safetensors"}


def all_modules() -> list[Path]:
    return [path for package in ("onoff_core", "onoff_assets") for path in sorted((ROOT / package).rglob("*.py"))]


def test_only_the_engine_of_transformers_knows_torch() -> None:
    for path in all_modules():
        if not path.is_relative_to(ENGINES_OF_TORCH):
            for module in imported_modules(path):
                assert module.split(".")[0] not in TORCH_AND_KIN, f"{path}: {module}"
                assert not module.startswith("onoff_core.backends.huggingface"), f"{path}: {module}"


def test_the_decode_loop_of_the_cpu_has_one_door() -> None:
    inside = ENGINES_OF_TORCH / "cpu"
    for path in all_modules():
        if not path.is_relative_to(inside):
            rooms = {m for m in imported_modules(path) if m.startswith("onoff_core.backends.huggingface.cpu.")}
            # scoring runs the same packed products, over a cache of its own
            assert rooms <= {"onoff_core.backends.huggingface.cpu.packing"}, f"{path}: {rooms}"


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
