"""Data sets for training by reinforcement, taken from what the store knows: problems by their pass rate, pairs of
responses, rollouts with token ids and log-probabilities.

`sources` reads each model's results on a data set, `selection` chooses problems, `problems`, `preferences` and
`rollouts` make rows of them, `writing` puts them into a folder with a data card (`card`), `hub` sends that folder.
"""
