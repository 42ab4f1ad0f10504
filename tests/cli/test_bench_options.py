"""Options of `onoff bench` that belong to one benchmark."""

import pytest

from onoff_core.cli.main import main


@pytest.mark.parametrize(
    "arguments", [["rewards", "--beside", "1"], ["sampling", "--tiny"], ["store", "--engines"], ["gpu", "--engines"]]
)
def test_an_option_of_another_benchmark_is_wrong_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert "--beside is for sampling, --tiny for gpu" in capsys.readouterr().err


def test_beside_prints_the_ratios(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The measurements stand in for themselves here: what they take is minutes of a quiet machine."""
    from benchmarks import beside

    speeds = {("{}", 0): 200.0, ("{}", 1): 110.0, (str(beside._USUAL), 0): 208.0, (str(beside._USUAL), 1): 12.0}
    monkeypatch.setattr(beside, "_measured", lambda changes, neighbours: speeds[str(changes), neighbours])
    assert main(["bench", "sampling", "--beside", "1", "--repeats", "1"]) == 0
    printed = capsys.readouterr().out
    assert "0.55 x onoff, alone" in printed
    assert "0.96 x spinning, alone" in printed
