"""Servers that sample: vLLM, SGLang and their like, by the completions protocol with token ids, over HTTP.

`protocol` is one server and what can be asked of it, `probing` what is found out before the first response, `spreading`
shares requests among servers, `engine` is the contract. A server only samples: scoring stays ours, so the check
`scorer_agrees_with_sampler` guards every server.
"""
