"""Pools: how their sizes and rates are written, and assets of a pool without one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from flowstone import Asset, asset
from flowstone.core.pools import MANY, Pool, check_pools, read_pools
from flowstone.errors import DefinitionErrors, PoolError, SettingsError
from flowstone.settings import Settings


@pytest.mark.parametrize(
    ("written", "pool"),
    [
        (2, Pool(2)),
        ("2", Pool(2)),
        ({"size": 2}, Pool(2)),
        ({"size": 2, "rate": "100/min"}, Pool(2, 0.6)),
        ("2@100/min", Pool(2, 0.6)),
        ("5/s", Pool(MANY, 0.2)),
        ({"rate": "0.5 / Hour"}, Pool(MANY, 7200.0)),
        (" 1 @ 1/day ", Pool(1, 86_400.0)),
        (Pool(3, 1.5), Pool(3, 1.5)),
    ],
)
def test_a_pool_is_a_size_a_rate_or_both(written: object, pool: Pool) -> None:
    assert read_pools({"api": written}) == {"api": pool}


def test_pools_are_a_mapping_or_its_text() -> None:
    both = {"gpu": Pool(1), "api": Pool(4, 0.6)}
    assert read_pools({"gpu": 1, "api": "4@100/min"}) == both
    assert read_pools("gpu=1, api=4@100/min,") == both
    assert read_pools("") == {}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"gpu": 0}, "pool 'gpu': 0 is no size from 1 to 1,000,000; write a size"),
        ({"gpu": True}, "pool 'gpu': True is no size"),
        ("gpu", "pool 'gpu': '' is no size"),
        ("gpu=²", "is no size"),
        ({"gpu": {"sise": 1}}, "pool 'gpu': {'sise': 1} has not just size and rate"),
        ({"gpu": {}}, "has not just size and rate"),
        ({"api": "1/week"}, "pool 'api': '1/week' is no rate; write a number per s, min, h or day"),
        ({"api": "0/min"}, "'0/min' is no rate"),
        ({"api": "3@"}, "'' is no rate"),
        ({"a b": 1}, "pool 'a b': a name begins with a letter"),
        ({3: 1}, "pool 3: a name begins with a letter"),
        ([1], "pools are names with sizes, such as gpu=1, not list"),
    ],
)
def test_what_is_wrong_is_told_with_its_pool(written: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_pools(written)


def test_all_wrong_pools_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"pool 'a': .*; pool 'b': "):
        read_pools("a=0,b=x,c=1")


def test_they_are_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWSTONE_POOLS", "gpu=2")
    assert Settings.load().pools == {"gpu": Pool(2)}
    assert Settings.load(pools={"api": {"rate": "1/s"}}).pools == {"api": Pool(MANY, 1.0)}
    monkeypatch.setenv("FLOWSTONE_POOLS", "gpu=none")
    with pytest.raises(SettingsError, match=r"^invalid setting FLOWSTONE_POOLS: pool 'gpu'"):
        Settings.load()


def test_an_asset_of_a_pool_without_a_size_is_told_with_the_cure() -> None:
    @asset(pool="gpus")
    def trained() -> int:
        return 1

    @asset
    def plain() -> int:
        return 1

    with pytest.raises(PoolError) as caught:
        check_pools([plain, trained], {"gpu": Pool(1)})
    told = str(caught.value)
    assert told.startswith("asset 'trained' (")
    assert "did you mean 'gpu'?" in told
    assert "FLOWSTONE_POOLS=gpus=1" in told
    check_pools([plain, trained], {"gpus": Pool(1)})
    with pytest.raises(DefinitionErrors):
        check_pools([trained, Asset(name="b", pool="c")], {})
