"""A model's own code ends, whatever it is."""

import threading
import time

import pytest

from onoff_core.backends.huggingface import tokenizer as tokenizers
from onoff_core.backends.huggingface.time_limit import TookTooLong, ends_within
from onoff_core.backends.huggingface.tokenizer import LoadedTokenizer
from onoff_core.errors import ModelError

ENDLESS = "".join(f"{{% for {name} in range(99999) %}}" for name in "abc") + "{% endfor %}" * 3


def test_a_chat_template_without_end_is_a_clear_error(
    tiny_loaded: LoadedTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers, "_TEMPLATE_SECONDS", 1.0)
    tiny_loaded.tokenizer.chat_template = ENDLESS
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"models\.tiny: its tokenizer's chat template has no end \(1 s\)"):
        tiny_loaded.chat_template([{"role": "user", "content": "1 + 1?"}])
    assert time.monotonic() - began < 20
    tiny_loaded.tokenizer.chat_template = "{{ messages[0].content }}"
    assert tiny_loaded.chat_template([{"role": "user", "content": "1 + 1?"}]) == "1 + 1?"


def test_it_ends_the_block_in_any_thread_and_nothing_after_it() -> None:
    said = []

    def work() -> None:
        try:
            with ends_within(0.2):
                while True:
                    pass
        except TookTooLong:
            said.append("ended")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert said == ["ended"]
    with ends_within(0.05):
        pass
    until = time.monotonic() + 0.3
    while time.monotonic() < until:  # would be raised here
        pass
