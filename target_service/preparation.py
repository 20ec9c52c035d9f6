"""Convert SBAnational.csv to the 18 columns of the model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from target_service.places import STATE_CENTRES
from target_service.schema import FIELDS

RARE_RATIO = 0.005
"""A city, bank or franchise with a smaller share of the loans becomes "Other"."""

_GEONAMES = {1: "zip", 9: "latitude", 10: "longitude"}


def read_loans(csv: Path, *, zip_codes: Path | None = None) -> pd.DataFrame:
    """Return the loans of SBAnational.csv: the columns of `FIELDS`, then `approval_year` and `defaulted` (0 or 1).

    Args:
        csv: The file from Kaggle (`mirbektoktogaraev/should-this-loan-be-approved-or-denied`, CC BY-SA 4.0).
        zip_codes: GeoNames' `US.txt` (https://download.geonames.org/export/zip/, CC BY 4.0), with the location of each
            ZIP code. If this file is not given, or the ZIP code is unknown, a loan gets the centre of its state.

    Loans without a state, a term, a bank or an approval year are dropped: about 0.2 % of the file.
    """
    raw = pd.read_csv(csv, dtype=str, keep_default_na=False)
    raw = raw[(raw["State"] != "") & (raw["Bank"] != "") & (raw["Term"] != "") & (raw["ApprovalFY"] != "")]
    raw = raw[raw["State"].isin(STATE_CENTRES)]
    place = _places(raw, zip_codes)
    loans = pd.DataFrame(
        {
            "Term": raw["Term"].astype(int),
            "NoEmp": raw["NoEmp"].astype(int),
            "CreateJob": raw["CreateJob"].astype(int),
            "RetainedJob": raw["RetainedJob"].astype(int),
            "longitude": place["longitude"],
            "latitude": place["latitude"],
            "GrAppv": _cents(raw["GrAppv"]),
            "SBA_Appv": _cents(raw["SBA_Appv"]),
            "is_new": _flag(pd.to_numeric(raw["NewExist"], errors="coerce") == 2),
            "FranchiseCode": _frequent(raw["FranchiseCode"]),
            "UrbanRural": raw["UrbanRural"].astype(int),
            "City": _frequent(raw["City"].str.strip()),
            "State": raw["State"],
            "Bank": _frequent(raw["Bank"].str.strip()),
            "BankState": raw["BankState"].replace("", "Other"),
            "RevLineCr": raw["RevLineCr"].where(raw["RevLineCr"].isin(["Y", "N"]), "Other"),
            "naics_first_two": raw["NAICS"].str[:2],
            "same_state": _flag(raw["State"] == raw["BankState"]),
            "approval_year": raw["ApprovalFY"].str[:4].astype(int),  # because one of the values is "1976A"
            "defaulted": (raw["ChgOffDate"] != "").astype(int),
        }
    )
    return loans[[*FIELDS, "approval_year", "defaulted"]].reset_index(drop=True)


def _cents(money: pd.Series[str]) -> pd.Series[float]:
    """Return "$60,000.00 " as 6000000.0: without the signs and the decimal point, the text is the number of cents."""
    return money.str.replace(r"[$,.\s]", "", regex=True).astype(float)


def _flag(values: pd.Series[bool]) -> pd.Series[str]:
    return values.map({True: "True", False: "False"})


def _frequent(names: pd.Series[str]) -> pd.Series[str]:
    share = names.value_counts(normalize=True)
    return names.where(names.map(share) >= RARE_RATIO, "Other").replace("", "Other")


def _places(raw: pd.DataFrame, zip_codes: Path | None) -> pd.DataFrame:
    """Return `latitude` and `longitude` of each loan, in degrees."""
    middle = pd.DataFrame(
        [STATE_CENTRES[state] for state in raw["State"]], columns=["latitude", "longitude"], index=raw.index
    )
    if zip_codes is None:
        return middle
    known = pd.read_csv(zip_codes, sep="\t", header=None, usecols=list(_GEONAMES), dtype={1: str})
    known = known.rename(columns=_GEONAMES).drop_duplicates("zip").set_index("zip")
    found = known.reindex(raw["Zip"].str.zfill(5)).set_index(raw.index)
    return found.fillna(middle)
