"""Responses and the distributions behind their tokens -> what would have come of other tokens.

`positions` says where a response is gone back into, `planning` which tokens are taken there, `drawing` goes on from
each, `values` and `agreement` say what came of them. In and out: plain values, and rows of the tables of `branches`;
nothing here knows the store.
"""
