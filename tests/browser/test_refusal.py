"""The app shows nothing of a store on a server that every machine around can reach."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit import config, runtime
from streamlit.testing.v1 import AppTest

import onoff_assets.browser
from onoff_core.store import Store, publish_catalog
from tests.store.making import make_partition

APP = Path(onoff_assets.browser.__file__).with_name("app.py")


@pytest.fixture
def address() -> Iterator[None]:
    """The server's address may be changed."""
    former = config.get_option("server.address")
    yield
    config.set_option("server.address", former)


@pytest.mark.parametrize(("bound", "refused"), [(None, True), ("", True), ("127.0.0.1", False), ("0.0.0.0", False)])
def test_only_a_server_whose_address_was_chosen_shows_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: None, bound: str | None, refused: bool
) -> None:
    """Any address that somebody named; `streamlit run app.py` alone listens on all of them."""
    store = Store(str(tmp_path / "store"))
    make_partition(store, "d1", "seen")
    publish_catalog(store)
    monkeypatch.setenv("ONOFF_STORE", str(store.root))
    config.set_option("server.address", bound)
    monkeypatch.setattr(runtime, "exists", lambda: True)  # as on a server
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not app.exception
    assert bool(app.error) == refused
    if refused:
        assert "listens on all addresses" in app.error[0].value
        assert len(app.main) <= 2
