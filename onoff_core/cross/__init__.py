"""A model's texts by a second model, the reference: where, token by token, do the two part?

texts        what is scored: responses as they were sampled, and the data set's reference solutions
vocabulary   whether two tokenizers read the same ids alike, so that a comparison token by token means anything
agreement    whether the model says of its own texts what it said when it wrote them
scoring      texts -> rows of `cross_scores`, a token each
responses    those -> rows of `cross_responses`, a text each; also of models with another tokenizer, byte by byte
statistics   those -> rows of `cross_statistics`

Plain values and Arrow tables in, Arrow tables out; nothing here knows of the store.
"""
