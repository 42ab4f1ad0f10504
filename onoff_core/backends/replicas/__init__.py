"""N replicas of a model that look like one engine.

A replica is a process with the whole model. The process that starts them, the parent, cuts the work into units, gives
each free replica the next one, and alone writes results. How many replicas there are, and where, decides how fast
results come and never what they are.

    engine     the sampler and the scorer that the rest of onoff sees
    dealing    which replica does which unit; what happens when one is lost
    messages   what parent and replica say to each other
    serving    the replica's side: receive a unit, work, send the results
    places     starts a replica as a process of this machine (`child` is its main program)
    on_ray     starts a replica as an actor of a Ray cluster
    shares     which GPUs and how many threads each replica of a machine may use
"""
