"""No test leaves replicas to the next one."""

from collections.abc import Iterator

import pytest

from onoff_core.backends.replicas.engine import release_replicas


@pytest.fixture(autouse=True)
def _no_replicas_are_left() -> Iterator[None]:
    yield
    release_replicas()
