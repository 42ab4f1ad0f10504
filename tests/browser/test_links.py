"""URLs: read, checked, fallen back from with a message."""

import pytest

from onoff_assets.browser.links import Link, choose, clamp_token, read_link


def test_a_link_round_trips() -> None:
    link = Link("d", "m", None, "p/1 ü", 3, 17)
    assert read_link(link.query()) == (link, [])


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "१", "99999999999", "<script>"])
def test_a_bad_number_is_left_out_with_a_message(value: str) -> None:
    link, messages = read_link({"sample": value, "token": "4"})
    assert (link.sample, link.token) == (None, 4)
    assert len(messages) == 1
    assert "sample" in messages[0]


def test_choose_falls_back_with_a_message() -> None:
    assert choose("model", "m2", ["m1", "m2"]) == ("m2", None)
    assert choose("model", None, ["m1"]) == ("m1", None)
    chosen, message = choose("model", "qwen-8b", ["llama", "qwen3-8b"])
    assert chosen == "llama"
    assert message is not None
    assert "Did you mean 'qwen3-8b'?" in message
    assert choose("model", "x", []) == (None, None)


def test_tokens_beyond_the_end_fall_back_to_the_last() -> None:
    assert clamp_token(3, 10) == (3, None)
    assert clamp_token(None, 10) == (None, None)
    assert clamp_token(5, 0) == (None, None)
    position, message = clamp_token(99, 10)
    assert position == 9
    assert message is not None
    assert "10 tokens" in message
