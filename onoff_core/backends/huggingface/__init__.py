"""transformers as an engine: samples and scores in this process, on a CPU or on GPUs.

`loading` finds and keeps the model, `decoding` draws responses by one of three decoders, `scoring` looks at every
token's distribution. Only the modules below this page import torch and transformers.
"""
