"""At which temperature the numbers that a page shows are, beside that at which the response was drawn.

Stored log-probabilities, entropies, ranks and alternatives are the model's own, at `distribution.temperature` (1 unless
the study says otherwise) and before any truncation. A response may have been drawn at another temperature, with top-p
and top-k; what that leaves of the stored numbers is what the lens shows.
"""

from dataclasses import dataclass

from onoff_assets.browser.reading import Reader, Responses
from onoff_core.store import Generation
from onoff_core.store.provenance import SamplesProvenance
from onoff_core.study import SamplingSettings

AS_SAMPLED = 1.0  # the temperature of `token_logprobs`, which sampling records of the raw model


@dataclass(frozen=True)
class Conditions:
    """`temperature` of the numbers; `sampling` None: it is not known how the response was drawn."""

    temperature: float
    sampling: SamplingSettings | None

    @property
    def drawn_at(self) -> float | None:
        """The temperature at which the response was drawn; 0 where the most probable token was taken each time."""
        if self.sampling is None:
            return None
        return self.sampling.temperature if self.sampling.do_sample else 0.0

    @property
    def numbers(self) -> str:
        """What the numbers are, as it stands wherever they do."""
        return f"at temperature {self.temperature:g}"

    @property
    def drawing(self) -> str:
        """How the response was drawn."""
        if self.sampling is None:
            return "in a way that is not known"
        if self.drawn_at == 0:
            return "greedily (temperature 0)"
        cut = [] if self.sampling.top_p >= 1 else [f"top-p {self.sampling.top_p:g}"]
        cut += [] if self.sampling.top_k is None else [f"top-k {self.sampling.top_k}"]
        return "at " + ", ".join([f"temperature {self.drawn_at:g}", *cut])

    @property
    def is_as_drawn(self) -> bool:
        """Whether the response was drawn from just these probabilities."""
        one = self.sampling
        return one is not None and self.drawn_at == self.temperature and one.top_p >= 1 and one.top_k is None

    @property
    def sentence(self) -> str:
        """Both, for wherever the numbers are."""
        if self.is_as_drawn:
            return f"All numbers are {self.numbers}, at which the response was drawn."
        return f"All numbers are the model's {self.numbers}, not truncated; the response was drawn {self.drawing}."

    def sentence_beside(self, other: "Conditions") -> str:
        """Of two responses beside each other."""
        if self == other:
            return self.sentence
        each = self.numbers if self.temperature == other.temperature else f"{self.numbers} and {other.numbers}"
        drawn = f"the left response was drawn {self.drawing}, the right one {other.drawing}"
        return f"All numbers are the models' {each}, not truncated; {drawn}."

    @property
    def lens_hint(self) -> str:
        """What the lens is for; empty where it would show the same."""
        return "" if self.is_as_drawn or self.sampling is None else "The lens shows what that leaves of them."


def sampling_of(responses: Responses) -> SamplingSettings | None:
    """How the responses were drawn; None where that is not known: they were imported, or are not complete."""
    return None if responses.manifest is None else SamplesProvenance.of(responses.manifest).sampling


def conditions_of(reader: Reader, responses: Responses, distributions: Generation | None) -> Conditions:
    """Of a partition's responses; without `distributions` the numbers are those that sampling recorded."""
    temperature = AS_SAMPLED if distributions is None else reader.stored_temperature(distributions)
    return Conditions(temperature, sampling_of(responses))
