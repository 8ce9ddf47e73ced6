"""A logistic regression over categories: what makes a flight late, and how likely it will be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date  # noqa: TC003 - its type is read when a value is
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

ROUNDS = 8  # Newton's method doubles the correct digits in each
DIGITS = 8  # further ones differ between processors, and would make another model of the same data


@dataclass(frozen=True)
class LateModel:
    """The log odds of being late: the intercept, and for each feature its category's effect.

    Over the flights it was fitted to, the mean effect of each feature is 0.
    """

    intercept: float
    effects: dict[str, dict[str, float]]

    def risk(self, flights: pl.DataFrame) -> pl.Series:
        """The chance of each flight to be late, 0 to 1; an unknown category has no effect."""
        log_odds = pl.repeat(self.intercept, pl.len())
        for feature, effects in self.effects.items():
            effect = pl.col(feature).replace_strict(effects, default=0.0, return_dtype=pl.Float64)
            log_odds += effect
        return flights.select(risk=1 / (1 + (-log_odds).exp()))["risk"]


@dataclass(frozen=True)
class Score:
    """How well chances foretold what happened.

    ``brier`` is the mean squared error of the chances, ``log_loss`` their mean surprise in nats;
    both are better when smaller. ``auc`` is how often a late flight has a higher chance than one
    on time; 0.5 is guessing.
    """

    brier: float
    log_loss: float
    auc: float


@dataclass(frozen=True)
class Scores:
    """The score of each model on the same flights, none of which it was fitted to."""

    tested_from: date
    train_flights: int
    test_flights: int
    train_late: float
    test_late: float
    models: dict[str, Score]


def fit_logistic(flights: pl.DataFrame, features: Sequence[str], ridge: float) -> LateModel:
    """Fit ``late`` to the categories of the features by Newton's method.

    Every category has an effect. A penalty of ``ridge / 2`` times its square pulls it to zero, the
    more so the fewer its flights. See Hastie, Tibshirani, Friedman, *The Elements of
    Statistical Learning*, 4.4.1.

    Raises:
        ValueError: if all flights are late, or none.
    """
    late = _late(flights)
    if late.all() or not late.any():
        raise ValueError("all flights are late, or none; there is nothing to learn")
    terms = [(each, value) for each in features for value in flights[each].unique().sort()]
    columns = [_term_numbers(flights[feature], feature, terms) for feature in features]
    intercept = float(np.log(late.mean() / (1 - late.mean())))
    effects = step = np.zeros(len(terms))
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(-intercept - sum(effects[column] for column in columns)))
        step = _newton_step(columns, late - chance, chance * (1 - chance), effects, ridge)
        effects = effects + step
    if np.abs(step).max(initial=0) > 10**-DIGITS:
        raise ArithmeticError(f"no fit after {ROUNDS} rounds; a larger ridge helps")
    return _centred(intercept, dict(zip(terms, effects.tolist(), strict=True)), columns, features)


def compare(models: dict[str, LateModel], train: pl.DataFrame, test: pl.DataFrame) -> Scores:
    """Score models fitted to ``train`` on ``test``, all flights of which are later."""
    late = _late(test)
    return Scores(
        tested_from=test["scheduled"].dt.date().sort()[0],
        train_flights=train.height,
        test_flights=test.height,
        train_late=float(_late(train).mean()),
        test_late=float(late.mean()),
        models={name: _score(model.risk(test).to_numpy(), late) for name, model in models.items()},
    )


def by_risk(model: LateModel, flights: pl.DataFrame, groups: int) -> pl.DataFrame:
    """Split flights into equal groups by risk, the highest first.

    The columns are ``group``, ``flights``, ``foretold`` (mean risk), ``late`` (share late) and
    ``lift`` (that share over the share of all).
    """
    risk, late = model.risk(flights).to_numpy(), _late(flights)
    parts = np.array_split(np.argsort(-risk, kind="stable"), groups)
    return pl.DataFrame(
        {
            "group": range(1, groups + 1),
            "flights": [len(part) for part in parts],
            "foretold": [risk[part].mean() for part in parts],
            "late": [late[part].mean() for part in parts],
            "lift": [late[part].mean() / late.mean() for part in parts],
        }
    )


def _term_numbers(
    values: pl.Series, feature: str, terms: list[tuple[str, str]]
) -> NDArray[np.int64]:
    """For each value the position of (feature, value) among the terms."""
    numbers = {value: at for at, (name, value) in enumerate(terms) if name == feature}
    return values.replace_strict(numbers, return_dtype=pl.Int64).to_numpy()


def _centred(
    intercept: float,
    effects: dict[tuple[str, str], float],
    columns: list[NDArray[np.int64]],
    features: Sequence[str],
) -> LateModel:
    """The same model, each feature's mean effect moved into the intercept."""
    values = np.array(list(effects.values()))
    shifts = [float(values[column].mean()) for column in columns]
    means = dict(zip(features, shifts, strict=True))
    by_feature: dict[str, dict[str, float]] = {feature: {} for feature in features}
    for (feature, category), effect in effects.items():
        by_feature[feature][category] = round(effect - means[feature], DIGITS)
    return LateModel(round(intercept + sum(shifts), DIGITS), by_feature)


def _newton_step(
    columns: list[NDArray[np.int64]], error: Floats, weight: Floats, effects: Floats, ridge: float
) -> Floats:
    """The step to the maximum of the penalised likelihood's quadratic approximation.

    Counting pairs of categories gives the Hessian without a matrix of indicators.
    """
    size = len(effects)
    gradient = -ridge * effects
    hessian = ridge * np.eye(size)
    for one in columns:
        gradient += np.bincount(one, error, size)
        for other in columns:
            hessian += np.bincount(one * size + other, weight, size**2).reshape(size, size)
    return np.asarray(np.linalg.solve(hessian, gradient), dtype=np.float64)


def _score(risk: Floats, late: Floats) -> Score:
    lates = late.sum()
    ranks = pl.Series(risk).rank("average").to_numpy() @ late - lates * (lates + 1) / 2
    return Score(
        brier=float(np.mean((risk - late) ** 2)),
        log_loss=float(-np.mean(np.log(np.where(late == 1, risk, 1 - risk)))),
        auc=float(ranks / (lates * (len(late) - lates))),
    )


def _late(flights: pl.DataFrame) -> Floats:
    return flights["late"].to_numpy().astype(np.float64)
