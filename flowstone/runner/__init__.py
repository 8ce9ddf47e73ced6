"""Executing a plan: what may start, one step, what is recorded, what is told."""
