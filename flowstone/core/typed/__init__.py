"""Annotations compared with each other, and with values."""
