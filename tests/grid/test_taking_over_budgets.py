"""Another thinking budget draws no thinking anew: what ended within it is taken over, the rest goes on from its cut."""

from typing import Any

import pytest

from onoff_core.checks.samples import check_samples
from tests.conftest import MakeProject, tiny_model
from tests.grid.test_taking_over import KEY, Counted, Project, counts, engine, rows

__all__ = ["engine"]
TAGS = {"open": "<think>", "close": "</think>"}
RESPONSES = [
    "<think>One.\n\nTwo \\boxed{1}</think>It is \\boxed{4}.",  # 34 tokens of thinking
    "It is \\boxed{5}.",
    "<think>" + "on and on " * 20,
    "<think>short</think>\\boxed{6}",  # 20
]
FREE, CUT = {}, {"thinking_budget": 24}


class Thinking(Project):
    """Of scripted responses, or of noise whose prompt opens the thinking."""

    noise = False

    def set(self, **sampling: Any) -> None:
        script = {} if self.noise else {"backend_specific": {"script": {"responses": RESPONSES}}}
        thinking = sampling.pop("thinking", TAGS)
        self.folder = self.make(
            datasets={"arithmetic": {"num_examples": 2}},
            models={"tiny": {**tiny_model(None), **script}},
            sampling={"max_length": 80, "num_samples": 4, "seed": 7, **sampling},
            task={"thinking": thinking, **({"prefill": TAGS["open"]} if self.noise else {})},
        )


@pytest.fixture
def project(make_project: MakeProject) -> Thinking:
    return Thinking(make_project)


CHANGES = [  # of the scripted responses of two problems: drawn, taken over, gone on with
    (FREE, CUT, (0, 4, 4)),
    (CUT, FREE, (0, 4, 4)),
    (FREE, {"thinking_budget": 40}, (0, 6, 2)),
    (FREE, {"thinking_budget": 34}, (0, 6, 2)),  # its closing tag is within the budget
    (CUT, {"thinking_budget": 16}, (0, 2, 6)),
    ({"thinking_budget": 16}, CUT, (0, 2, 6)),
    (CUT, {"thinking_budget": 24, "num_samples": 6}, (4, 8, 0)),
    (CUT, {"thinking_budget": 24, "max_length": 90}, (0, 6, 2)),  # one ended at max_length, in its answer
    (FREE, {"thinking_budget": 24, "max_length": 40}, (0, 4, 4)),
    ({"max_length": 30}, {"thinking_budget": 26, "max_length": 60}, (0, 4, 4)),
]


@pytest.mark.parametrize(("before", "after", "cost"), CHANGES)
def test_another_budget_costs_what_comes_after_the_cut(
    project: Thinking, engine: Counted, before: dict[str, Any], after: dict[str, Any], cost: tuple[int, int, int]
) -> None:
    project.set(**before)
    project.made("samples")
    engine.drawn.clear()
    project.set(**after)
    made = project.made("samples")
    assert counts(made) == cost
    assert sum(begun > 0 for _, _, begun in engine.drawn) == cost[2]
    assert rows(made).equals(project.fresh("samples"))
    assert check_samples(project.store, KEY, 1.0)["every_problem_has_its_samples"].holds


def test_of_noise_every_number_stays_with_its_position(project: Thinking, engine: Counted) -> None:
    project.noise = True
    project.set()
    project.made("samples")
    for budget in (50, 10, 30):
        engine.drawn.clear()
        project.set(thinking_budget=budget)
        made = project.made("samples")
        assert counts(made)[0] == 0
        begun = {begun for _, _, begun in engine.drawn}
        assert begun <= {budget, 10}  # of the generation with most: the one without a budget, or the one of 50
        assert rows(made).equals(project.fresh("samples"))
    project.set()
    assert not project.made("samples").computed


def test_other_tags_close_otherwise(project: Thinking, engine: Counted) -> None:
    project.set(thinking_budget=24)
    project.made("samples")
    project.set(thinking_budget=24, thinking={"open": "<think>", "close": "</ think>"})
    made = project.made("samples")
    assert counts(made)[1] + counts(made)[2] == 8
    assert rows(made).equals(project.fresh("samples"))


def test_the_reason_is_told(project: Thinking, engine: Counted) -> None:
    project.set()
    project.made("samples")
    project.set(thinking_budget=24)
    made = project.made("samples")
    assert made.manifest.facts["taken_over"]["why"] == "sampling.thinking_budget is 24, was not set"
