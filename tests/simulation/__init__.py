"""Many runners and one store in simulated time: any history of faults, drawn and replayed by seed.

The runners and the store in memory are the real ones. Simulated are the event loop and its clock,
the way of each call to the store and back, the threads, and the functions of the assets.
"""
