"""Python's search for garbage is off while an engine is imported, and afterwards as it was."""

import gc
import importlib
from types import ModuleType

import pytest

from onoff_core import backends
from onoff_core.backends.collection import without_collection


def failing() -> None:
    with without_collection():
        assert not gc.isenabled()
        raise ValueError("in the middle")


def test_it_is_off_inside_and_afterwards_as_it_was() -> None:
    with pytest.raises(ValueError, match="in the middle"):
        failing()
    assert gc.isenabled()
    gc.disable()
    try:
        with without_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_engines_are_imported_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def importing(name: str) -> ModuleType:
        seen.append((name, gc.isenabled()))
        return ModuleType(name)

    monkeypatch.setattr(importlib, "import_module", importing)
    backends._engine("huggingface")
    assert seen == [("onoff_core.backends.huggingface.engine", False)]
    assert gc.isenabled()
