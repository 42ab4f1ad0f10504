"""Texts by a model with a tokenizer of its own: how probable are the bytes, after the same prompt as text?"""

from collections.abc import Sequence
from itertools import groupby

from onoff_core.backends.contract import Scorer, Tokenizer
from onoff_core.cross.responses import ReadText
from onoff_core.cross.texts import Text
from onoff_core.errors import ModelError
from onoff_core.study import DistributionSettings
from onoff_core.tasks import Prompt

_AS_IT_IS = DistributionSettings(temperature=1.0, top_k=1)


def has_bytes(text: Text) -> bool:
    """Whether there is anything to compare: a response may be a stop token alone."""
    return bool(text.text)


def read_own(scorer: Scorer, texts: Sequence[Text]) -> list[ReadText]:
    """By the model whose texts they are: the ids as they are, without the probability of a stop token at the end."""
    ids = [(text.prompt_ids, text.token_ids) for text in texts]
    return _read(scorer, texts, ids, scorer.info.stop_token_ids)


def read_anew(scorer: Scorer, tokenizer: Tokenizer, texts: Sequence[Text]) -> list[ReadText]:
    """By another model, which tokenizes prompt and text each for itself; its own first token stands before them."""
    ids = []
    for text in texts:
        prompt = tuple(tokenizer.encode(Prompt(text.prompt, add_special_tokens=True)))
        ids.append((prompt, tuple(tokenizer.encode(Prompt(text.text, add_special_tokens=False)))))
    return _read(scorer, texts, ids, frozenset())


def _read(
    scorer: Scorer,
    texts: Sequence[Text],
    ids: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    uncounted: frozenset[int],
) -> list[ReadText]:
    found: list[ReadText] = []
    for prompt_ids, group in groupby(ids, key=lambda both: both[0]):
        answers = [answer for _, answer in group]
        scores = scorer.score(prompt_ids, answers, _AS_IT_IS)
        for answer in answers:
            try:
                logprobs = next(scores)["logprob"]
            except ModelError as error:
                raise ModelError(f"{texts[len(found)].name}: {error}") from error
            count = len(answer) - (len(answer) > 1 and answer[-1] in uncounted)
            found.append(ReadText(count, float(logprobs[:count].astype("float64").sum())))
    return found
