"""The section `cross` of `onoff.yaml`: a second model's look at each model's texts."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator

from onoff_core.study.values import Count, Name, Section, list_as_tuple


class CrossSettings(Section):
    """By which other models the models' responses are scored too, and how the two are compared."""

    references: Annotated[tuple[Name, ...], BeforeValidator(list_as_tuple)] = ()  # for all models without `scored_by`
    top_k: Count = 20  # topk_overlap is that of so many most probable tokens
    solutions: bool = False  # true: the data set's reference solutions are scored by both as well
    # bounds: the model itself is not loaded; its part is what its token distributions keep, top-k and tail mass
    divergence: Literal["exact", "bounds"] = "exact"
    # refuse: an error; text: each model tokenizes the text itself, and log-probabilities are compared byte by byte
    other_tokenizer: Literal["refuse", "text"] = "refuse"
    # null: both models in memory, or one after the other where they do not fit; speed, not content
    load: Literal["together", "in_turn"] | None = None

    @model_validator(mode="after")
    def _bounds_are_of_responses(self) -> "CrossSettings":
        if self.divergence == "bounds" and self.solutions:
            raise ValueError("divergence: bounds goes by the responses' token distributions; solutions have none")
        return self
