"""One filled study for all tests of this folder, which change nothing in it."""

from pathlib import Path

import pytest

from tests.exchange.rl.making import fill, make_study


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rl")
    make_study(folder)
    fill(folder)
    return folder
