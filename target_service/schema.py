"""Define a loan application: the 18 fields on which the model was trained, their types and their ranges."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

EXAMPLES: list[Any] = [
    {
        "Term": 84,
        "NoEmp": 5,
        "CreateJob": 0,
        "RetainedJob": 5,
        "longitude": -77.9221,
        "latitude": 35.3664,
        "GrAppv": 1500000.0,
        "SBA_Appv": 1275000.0,
        "is_new": True,
        "FranchiseCode": "0",
        "UrbanRural": 1,
        "City": "Other",
        "State": "NC",
        "Bank": "BBCN BANK",
        "BankState": "CA",
        "RevLineCr": "N",
        "naics_first_two": "45",
        "same_state": False,
    },
    {
        "Term": 19,
        "NoEmp": 10,
        "CreateJob": 0,
        "RetainedJob": 10,
        "longitude": -85.0117,
        "latitude": 41.0699,
        "GrAppv": 3500000.0,
        "SBA_Appv": 1750000.0,
        "is_new": "False",
        "FranchiseCode": "1",
        "UrbanRural": 2,
        "City": "Other",
        "State": "IN",
        "Bank": "WELLS FARGO BANK NATL ASSOC",
        "BankState": "SD",
        "RevLineCr": "Y",
        "naics_first_two": "81",
        "same_state": "True",
    },
]
"""The two applications of the tutorial's load test, one for each form in which clients send booleans."""

MAX_BATCH = 256
"""The maximum number of applications in one `/predict/batch`. A batch of this size takes about 4 ms of work, during
which all other requests wait."""

Flag = StrictBool | Literal["True", "False"]
"""A JSON boolean, or "True" or "False" as a string, as in the training data. Pydantic 1 converted one form to the other
automatically."""

Text = Annotated[str, Field(min_length=1, max_length=100)]
StateCode = Annotated[str, Field(pattern="^([A-Z]{2}|Other)$")]
Count = Annotated[int, Field(ge=0, le=100_000)]
Cents = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]


class LoanApplication(BaseModel):
    """One application for a loan guaranteed by the US Small Business Administration."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": EXAMPLES})

    Term: Annotated[int, Field(ge=0, le=600, description="Months until the loan must be paid back.")]
    NoEmp: Annotated[Count, Field(description="Employees of the business.")]
    CreateJob: Annotated[Count, Field(description="Jobs that the loan should create.")]
    RetainedJob: Annotated[Count, Field(description="Jobs that the loan should keep.")]
    longitude: Annotated[
        float, Field(ge=-180, le=180, allow_inf_nan=False, description="Longitude of the ZIP code, in degrees.")
    ]
    latitude: Annotated[
        float, Field(ge=-90, le=90, allow_inf_nan=False, description="Latitude of the ZIP code, in degrees.")
    ]
    GrAppv: Annotated[Cents, Field(description="Amount approved by the bank, in US cents.")]
    SBA_Appv: Annotated[Cents, Field(description="Amount that the SBA guarantees, in US cents.")]
    is_new: Annotated[Flag, Field(description="Whether the business is two years old or younger.")]
    FranchiseCode: Annotated[Text, Field(description='Code of the franchise; "0" or "1" if there is none.')]
    UrbanRural: Annotated[Literal[0, 1, 2], Field(description="0 unknown, 1 urban, 2 rural.")]
    City: Annotated[Text, Field(description='"Other" if the city has less than 0.5 % of the loans.')]
    State: Annotated[StateCode, Field(description="State of the business.")]
    Bank: Annotated[Text, Field(description='"Other" if the bank has less than 0.5 % of the loans.')]
    BankState: Annotated[StateCode, Field(description="State of the bank.")]
    RevLineCr: Annotated[
        Literal["Y", "N", "Other"], Field(description="Whether the loan is a revolving line of credit.")
    ]
    naics_first_two: Annotated[str, Field(pattern="^[0-9]{1,2}$", description="Industry: first two digits of NAICS.")]
    same_state: Annotated[Flag, Field(description="Whether business and bank are in the same state.")]


class Batch(BaseModel):
    """Several applications in one request."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"applications": EXAMPLES}]})

    applications: Annotated[list[LoanApplication], Field(min_length=1, max_length=MAX_BATCH)]


class Prediction(BaseModel):
    """The prediction for one application."""

    default_probability: Annotated[float, Field(ge=0, le=1, description="Probability that the loan is not paid back.")]


class BatchPrediction(BaseModel):
    """The predictions for several applications, in the order of the request."""

    default_probabilities: list[float]


FIELDS: tuple[str, ...] = tuple(LoanApplication.model_fields)
"""The columns of the model, in the model's order."""

CATEGORICAL: tuple[str, ...] = (
    "is_new",
    "FranchiseCode",
    "UrbanRural",
    "City",
    "State",
    "Bank",
    "BankState",
    "RevLineCr",
    "naics_first_two",
    "same_state",
)
"""The columns whose values are names and not quantities; CatBoost reads them as text."""

_values = attrgetter(*FIELDS)
_FLAGS = tuple(FIELDS.index(name) for name in ("is_new", "same_state"))

Row = list[int | float | str]
"""One application in the form that the model expects: 18 values in the order of `FIELDS`, flags as "True" and
"False"."""


def as_row(application: LoanApplication) -> Row:
    """Return the application's values in the model's order, with both forms of a flag as the same text."""
    row: Row = list(_values(application))
    for index in _FLAGS:
        row[index] = str(row[index])
    return row
