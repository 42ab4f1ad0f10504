"""A loaded model: token ids in, token ids out; token ids in, statistics of its logits out.

`loading` finds and keeps the model, `decoding` draws responses, `scoring` looks at every token's distribution,
`vocabulary` says what a token id stands for. Nothing here knows of problems, rewards or the store. Torch and
transformers are imported by the modules below this page, so importing this package costs nothing.
"""
