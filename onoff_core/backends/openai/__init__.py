"""Servers that sample: vLLM, SGLang and their like, by the completions protocol with token ids, over HTTP.

A server only samples. Scoring stays ours, so that the check `scorer_agrees_with_sampler` guards every server.

    engine     the sampler that the rest of onoff sees
    probing    what a server is asked and has to show before the first response
    spreading  which server gets which request; what happens when one fails
    protocol   one server: requests to it, and its failures as errors
    answers    what an answer says of a response, read strictly
    deadline   a limit of time for a whole answer
"""
