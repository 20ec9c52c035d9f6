"""The command that trains the model gives the same model again, and prepares the real data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from target_service.model import MODEL_FILE, load_model
from target_service.places import STATE_CENTRES
from target_service.preparation import read_loans
from target_service.schema import FIELDS, LoanApplication, as_row
from target_service.synthetic import draw_loans
from target_service.train import main

HEAD = (
    "LoanNr_ChkDgt,Name,City,State,Zip,Bank,BankState,NAICS,ApprovalDate,ApprovalFY,Term,NoEmp,NewExist,CreateJob,"
    "RetainedJob,FranchiseCode,UrbanRural,RevLineCr,LowDoc,ChgOffDate,DisbursementDate,DisbursementGross,BalanceGross,"
    "MIS_Status,ChgOffPrinGr,GrAppv,SBA_Appv"
)
"""The first line of SBAnational.csv."""

PAID = (
    "1000014003,ABC HOBBYCRAFT,EVANSVILLE,IN,47711,FIFTH THIRD BANK,OH,451120,28-Feb-97,1997,84,4,2,0,0,1,0,N,Y,,"
    '28-Feb-99,"$60,000.00 ",$0.00 ,P I F,$0.00 ,"$60,000.00 ","$48,000.00 "'
)
CHARGED_OFF = (
    '1000104006,"FOO, BAR",BOSTON,MA,2108,BAY BANK,MA,722410,5-Jun-76,1976A,12,7,1,3,4,0,2,T,N,24-Jun-91,'
    '31-Jul-80,"$35,500.50 ",$0.00 ,CHGOFF,"$30,000.00 ","$35,500.50 ","$17,750.00 "'
)
NO_STATE = (
    "1000004009,NOWHERE INC,LOST,,0,BAY BANK,MA,0,7-Feb-97,1997,60,1,1,0,0,1,0,0,N,,"
    '31-May-97,"$1,000.00 ",$0.00 ,P I F,$0.00 ,"$1,000.00 ","$500.00 "'
)
GEONAMES = "US\t02108\tBoston\tMassachusetts\tMA\tSuffolk\t025\t\t\t42.3576\t-71.0684\t4\n"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "SBAnational.csv"
    path.write_text("\n".join([HEAD, PAID, CHARGED_OFF, NO_STATE]) + "\n")
    return path


def trained(*words: str, out: Path) -> tuple[Path, dict[str, object]]:
    """Run the command in this process, because another process would spend most of its time importing."""
    main(["--out", str(out), *words])
    return out, json.loads(out.with_suffix(".json").read_text())


def test_the_command_makes_the_committed_model_again(tmp_path: Path) -> None:
    again, card = trained(out=tmp_path / "again.cbm")
    committed_card = json.loads(MODEL_FILE.with_suffix(".json").read_text())
    assert card["parameters"] == committed_card["parameters"]
    assert card["data"] == committed_card["data"]
    rows = [
        as_row(LoanApplication.model_validate(loan))
        for loan in draw_loans(500, seed=5)[list(FIELDS)].to_dict("records")
    ]
    # On the machine that made the model, the files are equal byte by byte. On another machine, a different order of
    # vector instructions may change the last bits of a sum. This changes a probability by far less than 1e-6.
    np.testing.assert_allclose(load_model(again).predict(rows), load_model().predict(rows), rtol=0, atol=1e-6)


def test_the_model_has_learnt_the_rules_of_the_generated_loans(tmp_path: Path) -> None:
    metrics = json.loads(MODEL_FILE.with_suffix(".json").read_text())["metrics"]
    assert 0.90 < metrics["roc_auc"] < 0.99
    assert metrics["pr_auc"] > 3 * metrics["default_ratio_tested"]  # three times the result of guessing


def test_a_longer_term_means_less_default() -> None:
    loan = draw_loans(1, seed=9)[list(FIELDS)].to_dict("records")[0]
    rows = [as_row(LoanApplication.model_validate({**loan, "Term": months})) for months in (12, 60, 120)]
    short, middle, long = load_model().predict(rows)
    assert short > middle > long


def test_made_up_loans_are_the_same_for_the_same_seed_and_inside_the_schema() -> None:
    loans = draw_loans(200, seed=3)
    pd.testing.assert_frame_equal(loans, draw_loans(200, seed=3))
    assert not loans.equals(draw_loans(200, seed=4))
    for loan in loans[list(FIELDS)].to_dict("records"):
        LoanApplication.model_validate(loan)


def test_the_real_columns_become_the_models(csv: Path) -> None:
    paid, charged_off = read_loans(csv).to_dict("records")
    latitude, longitude = STATE_CENTRES["IN"]
    assert paid == {
        "Term": 84,
        "NoEmp": 4,
        "CreateJob": 0,
        "RetainedJob": 0,
        "longitude": longitude,
        "latitude": latitude,
        "GrAppv": 6_000_000.0,  # $60,000.00 in cents
        "SBA_Appv": 4_800_000.0,
        "is_new": "True",  # NewExist is 2
        "FranchiseCode": "1",
        "UrbanRural": 0,
        "City": "EVANSVILLE",
        "State": "IN",
        "Bank": "FIFTH THIRD BANK",
        "BankState": "OH",
        "RevLineCr": "N",
        "naics_first_two": "45",
        "same_state": "False",
        "approval_year": 1997,
        "defaulted": 0,
    }
    assert charged_off["defaulted"] == 1
    assert charged_off["approval_year"] == 1976  # from "1976A"
    assert charged_off["RevLineCr"] == "Other"  # from "T"
    assert (charged_off["is_new"], charged_off["same_state"]) == ("False", "True")
    assert charged_off["GrAppv"] == 3_550_050.0  # $35,500.50


def test_a_place_comes_from_the_zip_code_where_there_is_a_table_of_them(csv: Path, tmp_path: Path) -> None:
    table = tmp_path / "US.txt"
    table.write_text(GEONAMES)
    unknown_zip, boston = read_loans(csv, zip_codes=table).to_dict("records")
    assert (boston["latitude"], boston["longitude"]) == (42.3576, -71.0684)  # Zip 2108 is 02108
    assert (unknown_zip["latitude"], unknown_zip["longitude"]) == STATE_CENTRES["IN"]


def test_rare_names_become_other(tmp_path: Path) -> None:
    """0.5 % of 400 loans are 2 loans: a bank with two loans keeps its name, and a bank with one loan does not."""
    lines = [PAID.replace("FIFTH THIRD BANK", name) for name in ["BIG"] * 397 + ["TWICE"] * 2 + ["ONCE"]]
    path = tmp_path / "many.csv"
    path.write_text("\n".join([HEAD, *lines]) + "\n")
    assert read_loans(path)["Bank"].value_counts().to_dict() == {"BIG": 397, "TWICE": 2, "Other": 1}


def test_real_data_trains_a_model_the_service_takes(tmp_path: Path) -> None:
    lines = [line for year in range(1990, 2010) for line in (PAID, CHARGED_OFF.replace("1976A", str(year)))]
    data = tmp_path / "SBAnational.csv"
    data.write_text("\n".join([HEAD, *lines * 5]) + "\n")
    out, card = trained("--data", str(data), out=tmp_path / "real.cbm")
    assert card["data"] == "SBAnational.csv"
    paid, charged_off = (
        as_row(LoanApplication.model_validate(loan))
        for loan in read_loans(data)[list(FIELDS)].drop_duplicates().to_dict("records")
    )
    chances = load_model(out).predict([paid, charged_off])
    assert chances[0] < 0.5 < chances[1]


def test_a_data_file_that_is_not_there_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--data", "nowhere.csv"])
    assert stopped.value.code == 2
    assert "there is no file nowhere.csv" in capsys.readouterr().err
