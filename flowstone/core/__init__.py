"""The pure part: assets, graph, hashes, statuses and plans. No I/O, no clock, no environment."""
