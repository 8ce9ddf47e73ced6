"""What a piece of project code is, told from its text: canonical, by name, over all modules.

``summary`` reads one module: what each of its names is made of and refers to. ``link`` follows
those references through imports from module to module, ``influence`` adds what other statements do
to a name, and ``merkle`` turns the graph of definitions into digests. Nothing here reads files or
imports anything; ``flowstone.sources`` provides modules and the live objects.
"""
