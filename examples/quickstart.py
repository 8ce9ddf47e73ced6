"""Two assets: ``revenue`` takes ``orders`` because its parameter says so."""

from flowstone import asset, materialize


@asset
def orders() -> dict[str, int]:
    """What each day brought in, in euros."""
    return {"mon": 3, "tue": 4}


@asset
def revenue(orders: dict[str, int]) -> int:
    """What all days brought in, in euros."""
    return sum(orders.values())


if __name__ == "__main__":
    print(materialize(revenue)["revenue"])
