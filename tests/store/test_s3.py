"""The whole path of a partition with `store.path` an S3 URL, on both servers."""

from collections.abc import Callable

import pytest

from onoff_core.cli.main import main
from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.store import CATALOG_NAME, Store, connect_catalog
from onoff_core.store.upkeep import verify
from onoff_core.study import load_study
from tests.conftest import MakeProject


@pytest.mark.parametrize("kind", ["moto", "localbucket"])
def test_a_partition_is_materialized_read_and_shown(
    kind: str, bucket: Callable[[str], str], make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{bucket(kind)}/results"
    make_project(store={"path": url})
    study = load_study()
    partition, store = study.partition("arithmetic|tiny"), Store(study.store_path)
    for materialize in (
        materialize_samples,
        materialize_rewards,
        materialize_statistics,
        materialize_token_distributions,
    ):
        assert materialize(partition, store).computed
    assert not materialize_samples(partition, Store(study.store_path)).computed

    with connect_catalog(store) as connection:
        tokens, samples = connection.execute(
            "SELECT (SELECT count(*) FROM token_distributions), (SELECT sum(num_tokens) FROM samples)"
        ).fetchall()[0]
    assert tokens == samples > 0
    assert main(["status"]) == 0
    out = capsys.readouterr().out
    assert out.count("complete") == 4
    assert f"store: {url}" in out
    assert main(["show", "arithmetic|tiny"]) == 0
    assert len(list(verify(store))) == 6
    assert store.files.exists(CATALOG_NAME)
