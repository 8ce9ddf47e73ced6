"""The command line: ``python -m flowstone``, or ``flowstone``."""

from flowstone.cli.app import main

__all__ = ["main"]
