"""What `onoff status` says of runs: what was canceled, what failed too often, and what came of the night."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from onoff_assets.cli.status_notes import moment
from onoff_core.cli.main import main
from onoff_core.errors import DatasetError, PlatformError
from onoff_core.grid import materialize
from onoff_core.grid.problem_versions import inputs_version
from tests.platform.conftest import Platform
from tests.platform.test_following import a_run

DATASETS = {name: {"source": "arithmetic", "num_examples": 2} for name in ("a", "b", "c")}
CANCELED = "canceled, and left until an input changes or someone asks: onoff fill --dataset b --model tiny"


def test_the_morning_after(
    platform: Callable[..., Platform],
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """a failed and was made later; b was canceled; c failed too often, and says why in one line."""
    made = platform(datasets=DATASETS, automation={"max_failures": 0, "max_truncated_share": 0.0})

    def broken(*arguments: object) -> None:
        raise DatasetError("line 3 is no problem")

    with dg.DagsterInstance.get() as instance:
        made.instance = instance
        with monkeypatch.context() as patch:
            patch.setattr(materialize, "_sample", broken)
            for key in ("a|tiny", "c|tiny"):
                assert not made.materialize(key, raises=False).success
        made.materialize("a|tiny")
        a_run(made, ("samples",), "b|tiny", status=dg.DagsterRunStatus.CANCELED,
              tags={"onoff/inputs": inputs_version(made.study.partitions["b|tiny"])})  # fmt: skip
    assert main(["status", "--since", "yesterday"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"b|tiny: {CANCELED}" in lines
    assert any(line.startswith("c|tiny: failed more than 0 times, and left until") for line in lines)
    [counts] = [line for line in lines if line.startswith("since ")]
    assert counts.endswith("1 runs succeeded, 1 failed, 1 were canceled, 0 in progress")
    [failed] = [line for line in lines if line.startswith("failed: ")]
    assert failed.startswith("failed: c|tiny (run ")
    assert failed.endswith("): samples of c|tiny: line 3 is no problem")
    assert any(line.startswith("check few_responses_are_truncated: a|tiny: ") for line in lines)
    assert main(["status"]) == 0
    assert "since" not in capsys.readouterr().out


def test_without_a_home_it_says_nothing_unless_asked(
    platform: Callable[..., Platform], capsys: pytest.CaptureFixture[str]
) -> None:
    platform()
    assert main(["status"]) == 0
    assert "DAGSTER_HOME" not in capsys.readouterr().err
    assert main(["status", "--since", "yesterday"]) == 1
    assert "export DAGSTER_HOME=" in capsys.readouterr().err


NOW = datetime(2026, 11, 26, 8, 30).astimezone()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("today", datetime(2026, 11, 26).astimezone()),
        ("yesterday", datetime(2026, 11, 25).astimezone()),
        ("12h", NOW - timedelta(hours=12)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-11-20", datetime(2026, 11, 20).astimezone()),
        ("2026-11-20T22:00", datetime(2026, 11, 20, 22).astimezone()),
    ],
)
def test_moments(text: str, found: datetime) -> None:
    assert moment(text, NOW) == found


@pytest.mark.parametrize("text", ["tomorrow?", "12", "", "h"])
def test_what_is_no_moment_is_said(text: str) -> None:
    with pytest.raises(PlatformError, match="a moment is wanted"):
        moment(text, NOW)
