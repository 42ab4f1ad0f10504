"""The section `branches`: at which positions of which responses other tokens are taken, and how often it goes on."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from onoff_core.study.values import Count, Name, Real, Section, nothing_as_empty

_ALL = 2**31 - 1


def _list_as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Share = Annotated[Real, Field(ge=0, le=1)]
Tokens = Annotated[tuple[Annotated[int, Field(ge=0)] | Name, ...], BeforeValidator(_list_as_tuple)]
Positions = Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_list_as_tuple)]


class BranchedResponses(Section):
    """Which responses are gone back into: of each problem the first ones of this kind, by sample index."""

    per_problem: Count = 2
    status: Literal["wrong", "correct", "any"] = "wrong"  # wrong: reward 0; any: every response with a reward


class BranchedPositions(Section):
    """At which positions of a response other tokens are taken; 0 is its first token."""

    # entropy: where the next token's distribution has the highest; forks: where its second token is probable, the most
    # probable first; every: each n-th; tokens: where one of these was written; at: these; steps: where a paragraph
    # ends; thinking_steps: where a paragraph of the thinking begins, by task.thinking
    how: Literal["entropy", "forks", "every", "tokens", "at", "steps", "thinking_steps"] = "entropy"
    most: Count | None = None  # positions a response; null: 8, but all with at, steps and thinking_steps
    n: Count = 16  # of every
    second_probability: Share = 0.2  # of forks: the least probability of the second most probable token
    tokens: Tokens = ()  # of tokens: texts of tokens, or ids
    at: Positions = ()  # of at

    @model_validator(mode="after")
    def _what_goes_with_how(self) -> "BranchedPositions":
        for name in ("tokens", "at"):
            given = bool(getattr(self, name))
            if self.how == name and not given:
                raise ValueError(f"how: {name} needs {name}, a list that is not empty")
            if self.how != name and given:
                raise ValueError(f"{name} goes with how: {name}")
        return self

    @property
    def limit(self) -> int:
        """The most positions a response."""
        if self.most is not None:
            return self.most
        return _ALL if self.how in ("at", "steps", "thinking_steps") else 8


class Alternatives(Section):
    """Which tokens are taken at a position besides the one that was sampled; with `how: steps` none."""

    top_k: Annotated[int, Field(ge=0)] = 3  # among so many of the most probable; 0: none
    min_probability: Share = 0.05


class BranchSettings(Section):
    """What decides a partition's branches."""

    responses: Annotated[BranchedResponses, BeforeValidator(nothing_as_empty)] = BranchedResponses()
    positions: Annotated[BranchedPositions, BeforeValidator(nothing_as_empty)] = BranchedPositions()
    alternatives: Annotated[Alternatives, BeforeValidator(nothing_as_empty)] = Alternatives()
    continuations: Count = 8  # of each branch; more are added to those that there are
    max_tokens: Count | None = None  # generated for all branches of a partition together; null: no limit
    drop: Annotated[Real, Field(gt=0, le=1)] = 0.1  # a value that falls by so much at a token dropped there
