"""`onoff browse`: what it starts, on which address, over which store."""

from pathlib import Path

import pytest

from onoff_core.cli.browse import DEFAULTS, command_of
from onoff_core.errors import SettingsError


def test_elsewhere_it_is_still_bound_to_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command, environment = command_of(str(tmp_path), ["--server.port", "8600"])
    assert command[1:4] == ["-m", "streamlit", "run"]
    assert Path(command[4]).is_file()
    assert command[5:] == ["--server.port", "8600"]
    assert environment["ONOFF_STORE"] == str(tmp_path)
    assert environment["STREAMLIT_SERVER_ADDRESS"] == "127.0.0.1"
    assert environment["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] == "false"
    assert environment["STREAMLIT_SERVER_ALLOWED_HOSTS"].split() == ["localhost", "127.0.0.1"]


def test_a_url_is_passed_on_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert command_of("s3://bucket/store", [])[1]["ONOFF_STORE"] == "s3://bucket/store"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such folder"):
        command_of(str(tmp_path / "nowhere"), [])


def test_a_folder_with_settings_of_its_own_is_heeded_and_still_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".streamlit").mkdir()
    config = tmp_path / ".streamlit" / "config.toml"
    config.write_text('[server]\nport = 8600\n[theme]\nbase = "dark"\n')  # another app's: it says nothing of addresses
    environment = command_of(str(tmp_path), [])[1]
    assert "STREAMLIT_SERVER_PORT" not in environment
    assert environment["STREAMLIT_SERVER_ADDRESS"] == "127.0.0.1"
    assert environment["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] == "false"
    assert not [name for name in environment if name.startswith("STREAMLIT_THEME")]  # nothing is mixed into its own
    config.write_text("[server\n")
    with pytest.raises(SettingsError, match="not readable"):
        command_of(str(tmp_path), [])


def test_the_checkout_has_the_same_settings() -> None:
    import tomllib

    from tests.conftest import ROOT

    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    theme = {
        f"theme.{base}.{name}": value for base, told in settings.pop("theme").items() for name, value in told.items()
    }
    told = {
        f"{section}.{name}": value for section, values in settings.items() for name, value in values.items()
    } | theme
    assert {name: " ".join(v) if isinstance(v, list) else str(v).lower() for name, v in told.items()} == DEFAULTS


def test_the_variables_are_the_ones_that_streamlit_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit import config

    monkeypatch.chdir(tmp_path)
    options = config.get_config_options()
    environment = command_of(str(tmp_path), [])[1]
    assert {options[name].env_var for name in DEFAULTS} <= set(environment)
