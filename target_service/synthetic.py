"""Generate fictitious loans from a seed, with the columns of SBAnational.csv and plausible relations.

The real data set cannot be fetched while building or testing. The relations are invented, but follow common knowledge
about such loans, so that the model has something to learn. With a longer term, there are far fewer defaults (loans with
short terms are mostly loans that ended early). Revolving credit, a new business, a small firm and a small guarantee
mean more defaults; a rural place, a franchise and a bank in the same state mean fewer. The years 2006 to 2009 had more
defaults. The data do not describe any real bank, place or industry.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from target_service.places import STATE_CENTRES
from target_service.schema import FIELDS

CITIES = ("LOS ANGELES", "HOUSTON", "NEW YORK", "CHICAGO", "MIAMI", "SAN DIEGO", "DALLAS", "PHOENIX", "LAS VEGAS")
BANKS = (
    "BANK OF AMERICA NATL ASSOC",
    "WELLS FARGO BANK NATL ASSOC",
    "JPMORGAN CHASE BANK NATL ASSOC",
    "U.S. BANK NATIONAL ASSOCIATION",
    "CITIZENS BANK NATL ASSOC",
    "PNC BANK, NATIONAL ASSOCIATION",
    "BBCN BANK",
    "CAPITAL ONE NATL ASSOC",
    "ZIONS FIRST NATIONAL BANK",
)
INDUSTRIES = (
    "0",
    "11",
    "23",
    "31",
    "32",
    "33",
    "42",
    "44",
    "45",
    "48",
    "51",
    "53",
    "54",
    "56",
    "61",
    "62",
    "71",
    "72",
    "81",
)


def draw_loans(count: int, *, seed: int) -> pd.DataFrame:
    """Return `count` fictitious loans: the columns of `FIELDS`, then `approval_year` and `defaulted` (0 or 1).

    The same seed gives the same loans. Amounts are in cents, as in the prepared real data.
    """
    rng = np.random.default_rng(seed)
    states = np.array(list(STATE_CENTRES))
    weights = rng.dirichlet(np.full(len(states), 2.0))
    state = rng.choice(states, count, p=weights)
    centre = np.array([STATE_CENTRES[name] for name in state])
    same_state = rng.random(count) < 0.6
    bank_state = np.where(same_state, state, rng.choice(states, count, p=weights))
    employees = np.minimum(np.exp(rng.normal(1.5, 1.2, count)).astype(int), 9_999)
    secured_by_land = rng.random(count) < 0.2
    term = np.where(secured_by_land, rng.integers(180, 301, count), rng.integers(3, 121, count))
    granted = np.exp(rng.normal(16.2, 1.3, count) + 1.1 * secured_by_land).round(-5).clip(100_000, 5e8)
    guaranteed = granted * rng.choice([0.5, 0.75, 0.85, 0.9], count, p=[0.4, 0.25, 0.25, 0.1])
    loans = pd.DataFrame(
        {
            "Term": term,
            "NoEmp": employees,
            "CreateJob": rng.poisson(0.3 * np.sqrt(employees)),
            "RetainedJob": rng.binomial(employees, 0.6),
            "longitude": (centre[:, 1] + rng.normal(0, 1.2, count)).round(4),
            "latitude": (centre[:, 0] + rng.normal(0, 0.9, count)).round(4),
            "GrAppv": granted,
            "SBA_Appv": guaranteed,
            "is_new": np.where(rng.random(count) < 0.28, "True", "False"),
            "FranchiseCode": rng.choice(["0", "1", "Other"], count, p=[0.27, 0.68, 0.05]),
            "UrbanRural": rng.choice([0, 1, 2], count, p=[0.35, 0.53, 0.12]),
            "City": rng.choice([*CITIES, "Other"], count, p=[0.013] * 9 + [0.883]),
            "State": state,
            "Bank": rng.choice([*BANKS, "Other"], count, p=[0.06] * 9 + [0.46]),
            "BankState": bank_state,
            "RevLineCr": rng.choice(["N", "Y", "Other"], count, p=[0.47, 0.24, 0.29]),
            "naics_first_two": rng.choice(INDUSTRIES, count),
            "same_state": np.where(state == bank_state, "True", "False"),
            "approval_year": rng.integers(1990, 2015, count),
        }
    )
    loans["defaulted"] = (rng.random(count) < _default_probability(loans, rng)).astype(int)
    return loans[[*FIELDS, "approval_year", "defaulted"]]


def _default_probability(loans: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Return the probability of default of each fictitious loan; the effects are in log odds."""
    by_industry = dict(zip(INDUSTRIES, rng.normal(0, 0.35, len(INDUSTRIES)), strict=True))
    by_bank = dict(zip([*BANKS, "Other"], rng.normal(0, 0.4, len(BANKS) + 1), strict=True))
    log_odds = (
        1.1
        - 0.045 * loans["Term"].clip(upper=150)
        - 0.25 * np.log1p(loans["NoEmp"])
        + 0.9 * (loans["SBA_Appv"] / loans["GrAppv"] <= 0.5)
        + 0.35 * (loans["is_new"] == "True")
        + 0.6 * (loans["RevLineCr"] == "Y")
        - 0.4 * (loans["UrbanRural"] == 2)
        - 0.3 * (loans["FranchiseCode"] == "Other")
        - 0.35 * (loans["same_state"] == "True")
        + 1.0 * loans["approval_year"].between(2006, 2009)
        + loans["naics_first_two"].map(by_industry)
        + loans["Bank"].map(by_bank)
    )
    # Doubling the log odds makes the outcome less random: the ROC-AUC is then near the 0.96 of the real data.
    return np.asarray(1 / (1 + np.exp(-2 * log_odds)))
