"""Bytes of tokens: they concatenate to the response, also where a character is split among tokens."""

from collections.abc import Sequence
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from onoff_core.backends.vocabulary import read_vocabulary
from tests.tiny import tiny_tokenizer

TEXTS = [
    "the answer is 12",
    "naïve ½ → 数学 🙂",
    "tab\tnew\nline\r\n  two spaces",
    "\x00\x7f control",
    r"\boxed{\frac{1}{2}}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_byte_level_pieces_concatenate_to_the_text(text: str) -> None:
    tokenizer = tiny_tokenizer()
    vocabulary = read_vocabulary(tokenizer, len(tokenizer))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert vocabulary.bytes_of(ids) == text.encode()


def test_a_split_character_is_bytes_and_not_a_replacement_character() -> None:
    tokenizer = tiny_tokenizer()
    vocabulary = read_vocabulary(tokenizer, len(tokenizer))
    ids = tokenizer("🙂", add_special_tokens=False)["input_ids"]
    assert len(ids) == 4
    assert [vocabulary.pieces[i] for i in ids] == [bytes([b]) for b in "🙂".encode()]


def test_special_tokens_and_ids_the_tokenizer_does_not_have() -> None:
    tokenizer = tiny_tokenizer()
    size = len(tokenizer) + 3  # models pad their embedding
    vocabulary = read_vocabulary(tokenizer, size)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert len(vocabulary) == size
    assert (vocabulary.pieces[end], vocabulary.special[end]) == (b"<|im_end|>", True)
    assert vocabulary.pieces[-3:] == (b"", b"", b"")
    assert vocabulary.special[-3:] == (True, True, True)
    assert not vocabulary.special[tokenizer.convert_tokens_to_ids("Ġthe")]


def sentencepiece_like(more: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """As Llama 2, Mistral and Gemma: words begin with `▁`, bytes that have no token are `<0xF0>`."""
    tokens = ["<unk>", "<s>", "</s>", *[f"<0x{b:02X}>" for b in range(256)]]
    tokens += ["▁", *"theanswri12", "▁th", "▁the", "▁a", "er", "½"]
    merges = [("▁", "t"), ("▁t", "h"), ("▁th", "e"), ("▁", "a"), ("e", "r")]
    tokens.insert(-5, "▁t")
    tokens += more
    tokenizer = Tokenizer(
        models.BPE({t: i for i, t in enumerate(tokens)}, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


@pytest.mark.parametrize("text", ["the answer is 12", "the ½ 🙂 the", "a\nthe"])
def test_sentencepiece_like_pieces_with_byte_fallback(text: str) -> None:
    tokenizer = sentencepiece_like()
    vocabulary = read_vocabulary(tokenizer, len(tokenizer))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert vocabulary.bytes_of(ids) == b" " + text.encode()  # these tokenizers put a space before the first word
    assert tokenizer.decode(ids) == text


def test_a_space_is_a_space_in_both_kinds() -> None:
    for tokenizer, token in ((tiny_tokenizer(), "Ġthe"), (sentencepiece_like(), "▁the")):
        vocabulary = read_vocabulary(tokenizer, len(tokenizer))
        assert vocabulary.pieces[tokenizer.convert_tokens_to_ids(token)] == b" the"


def assert_pieces_are_what_is_decoded(tokenizer: PreTrainedTokenizerBase, before: int) -> None:
    """Of every id, after a token `before`, where no first space is dropped."""
    pieces = read_vocabulary(tokenizer, len(tokenizer)).pieces
    for index, piece in enumerate(pieces):
        text = tokenizer.decode([before, index], clean_up_tokenization_spaces=False)
        assert (pieces[before] + piece).decode("utf-8", "replace") == text, tokenizer.convert_ids_to_tokens(index)


def test_added_tokens_of_a_byte_level_tokenizer() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["  ", "<|x y|>", "né", "日本", "Ġodd", AddedToken("\n\n", normalized=False)])
    assert_pieces_are_what_is_decoded(tokenizer, tokenizer.convert_tokens_to_ids("x"))


def test_added_tokens_of_a_sentencepiece_like_tokenizer() -> None:
    tokenizer = sentencepiece_like()
    tokenizer.add_tokens([AddedToken("▁▁▁", normalized=False), "\n\n", "<|x y|>", "<0xZZ>"])
    assert_pieces_are_what_is_decoded(tokenizer, tokenizer.convert_tokens_to_ids("e"))
    runs = tokenizer.convert_tokens_to_ids("▁▁▁")
    vocabulary = read_vocabulary(tokenizer, len(tokenizer))
    assert (vocabulary.pieces[runs], vocabulary.special[runs]) == (b"   ", True)


def test_the_maltese_letter_in_a_sentencepiece_vocabulary() -> None:
    tokenizer = sentencepiece_like(more=["Ġ"])
    assert_pieces_are_what_is_decoded(tokenizer, tokenizer.convert_tokens_to_ids("e"))


@pytest.mark.real_model
def test_every_piece_of_the_embedded_model(real_loaded: Any) -> None:
    assert_pieces_are_what_is_decoded(real_loaded.tokenizer, real_loaded.tokenizer.convert_tokens_to_ids("x"))


@pytest.mark.real_model
@pytest.mark.parametrize("text", TEXTS)
def test_the_embedded_models_pieces(real_loaded: Any, text: str) -> None:
    vocabulary = real_loaded.vocabulary
    ids = real_loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert vocabulary.bytes_of(ids) == text.encode()
    assert len(vocabulary) == 49_152
    assert len(set(vocabulary.pieces)) > 49_000
