"""transformers as an engine: samples and scores in this process, on a CPU or on GPUs.

`loading` finds and keeps the model, `decoding` draws responses by one of three decoders, `scoring` looks at every
token's distribution. Only the modules below this page import torch and transformers, so what has to be settled before
torch is loaded is settled here, whichever way a run was started.
"""

from onoff_core.backends.huggingface.threads import settle_threads

settle_threads()
