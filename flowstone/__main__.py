"""``python -m flowstone``."""

from __future__ import annotations

from flowstone.cli import main

if __name__ == "__main__":
    main()
