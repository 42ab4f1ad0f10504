"""Whether two tokenizers read the same ids alike."""

from dataclasses import dataclass

from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.cross.texts import Text
from onoff_core.errors import ModelError


@dataclass(frozen=True)
class Agreement:
    """Two vocabularies side by side."""

    reason_against: str | None  # why ids of one mean nothing to the other; None: they are alike
    rows: tuple[int, int]  # of the output matrices, padding included
    only_first: frozenset[int]  # ids that are a token of the first alone
    only_second: frozenset[int]

    @property
    def facts(self) -> dict[str, int]:
        return {
            "vocab_size": self.rows[0],
            "reference_vocab_size": self.rows[1],
            "compared_vocab_size": min(self.rows),
            "ids_of_model_alone": len(self.only_first),
            "ids_of_reference_alone": len(self.only_second),
        }

    def check(self, text: Text, first: str, second: str) -> None:
        """Raise `ModelError` where a text has an id that is a token of one model alone."""
        for owner, other, alone in ((first, second, self.only_first), (second, first, self.only_second)):
            for token in (*text.prompt_ids, *text.token_ids):
                if token in alone:
                    raise ModelError(
                        f"{text.name} has the token id {token}, which is a token of models.{owner} and "
                        f"means nothing to models.{other}; they cannot be compared on this text. With "
                        "cross.other_tokenizer: text they are compared byte by byte"
                    )


def compare_vocabularies(first: Vocabulary, second: Vocabulary) -> Agreement:
    """Ids are alike where both have the same bytes and are special in both. An id that one of them has no token for is
    a row of padding there, which is no reason against comparing texts without that id.
    """
    reason, alone = None, (set[int](), set[int]())
    for token in range(max(len(first), len(second))):
        pieces = [one.pieces[token] if token < len(one) else b"" for one in (first, second)]
        if not pieces[0] and not pieces[1]:
            continue
        if not pieces[0] or not pieces[1]:
            alone[1 if not pieces[0] else 0].add(token)
        elif pieces[0] != pieces[1]:
            reason = f"token {token} is {_shown(pieces[0])} to one and {_shown(pieces[1])} to the other"
            break
        elif first.special[token] != second.special[token]:
            reason = f"token {token}, {_shown(pieces[0])}, is a special token of one of them alone"
            break
    both = sum(map(bool, first.pieces)), sum(map(bool, second.pieces))
    if reason is None and max(map(len, alone)) > min(both) // 10:
        reason = f"one has {both[0]:,} tokens and the other {both[1]:,}"
    return Agreement(reason, (len(first), len(second)), frozenset(alone[0]), frozenset(alone[1]))


def _shown(piece: bytes) -> str:
    return repr(piece.decode("utf-8", errors="backslashreplace"))
