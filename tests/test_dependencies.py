"""Every package that the code imports is declared, so that an upgrade of another package cannot take it away."""

import importlib.metadata
import re
import sys
import tomllib

import pytest

from tests.conftest import ROOT
from tests.test_layers import imported_modules

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"onoff_core", "onoff_assets", "benchmarks", "tests"}


def declared() -> set[str]:
    extras = PROJECT["optional-dependencies"].values()
    requirements = [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]
    return {re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


@pytest.mark.parametrize("package", ["onoff_core", "onoff_assets", "benchmarks"])
def test_every_import_is_declared(package: str) -> None:
    distributions = importlib.metadata.packages_distributions()
    unknown = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        for module in imported_modules(path):
            top = module.split(".")[0]
            if top in OURS or top in sys.stdlib_module_names:
                continue
            names = {name.lower().replace("_", "-") for name in distributions.get(top, [top])}
            if not names & declared():
                unknown[top] = str(path.relative_to(ROOT))
    assert unknown == {}
