"""N replicas of a model behind the contract of one engine.

`shares` says what each may use, `places` where it lives, `serving` is its inside, `messages` what is said to it;
`dealing` hands out units of work and brings back what was lost; `engine` makes a sampler and a scorer of it. Only the
process that opened them writes anything. What replicas there are decides speed and no content.
"""
