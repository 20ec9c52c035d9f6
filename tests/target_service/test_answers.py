"""The answers of the service, over HTTP and without a network."""

from __future__ import annotations

import json
from typing import Any

import pytest

from target_service.schema import CATEGORICAL, EXAMPLES, FIELDS, MAX_BATCH
from tests.target_service.conftest import Client

FIRST: dict[str, Any] = EXAMPLES[0]


def with_field(name: str, value: Any) -> dict[str, Any]:
    return {**FIRST, name: value}


def test_the_18_fields_are_the_tutorials_in_its_order() -> None:
    assert " ".join(FIELDS) == (
        "Term NoEmp CreateJob RetainedJob longitude latitude GrAppv SBA_Appv is_new FranchiseCode UrbanRural City "
        "State Bank BankState RevLineCr naics_first_two same_state"
    )
    assert set(CATEGORICAL) <= set(FIELDS)


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_payload_of_the_tutorial_gets_a_probability(call: Client, example: dict[str, Any]) -> None:
    answer = call("POST", "/predict", json=example)
    assert answer.status_code == 200
    assert list(answer.json()) == ["default_probability"]
    assert 0 < answer.json()["default_probability"] < 1


@pytest.mark.parametrize("flag", ["is_new", "same_state"])
@pytest.mark.parametrize("value", [True, False])
def test_a_json_boolean_and_its_word_mean_the_same(call: Client, flag: str, value: bool) -> None:
    as_boolean = call("POST", "/predict", json=with_field(flag, value))
    as_word = call("POST", "/predict", json=with_field(flag, str(value)))
    assert as_boolean.status_code == as_word.status_code == 200
    assert as_boolean.json() == as_word.json()


def test_a_flag_is_not_ignored(call: Client) -> None:
    answers = {call("POST", "/predict", json=with_field("is_new", value)).text for value in (True, False)}
    assert len(answers) == 2


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("Term", [84], "valid integer"),
        ("Term", None, "valid integer"),
        ("Term", 84.5, "valid integer"),
        ("Term", -1, "greater than or equal to 0"),
        ("Term", 601, "less than or equal to 600"),
        ("NoEmp", {"n": 5}, "valid integer"),
        ("longitude", -180.1, "greater than or equal to -180"),
        ("latitude", 90.1, "less than or equal to 90"),
        ("latitude", "north", "valid number"),
        ("GrAppv", -1, "greater than or equal to 0"),
        ("is_new", 1, "'True' or 'False'"),
        ("is_new", "yes", "'True' or 'False'"),
        ("FranchiseCode", 0, "valid string"),
        ("UrbanRural", 3, "0, 1 or 2"),
        ("State", "North Carolina", "match pattern"),
        ("RevLineCr", "T", "'Y', 'N' or 'Other'"),
        ("naics_first_two", "4512", "match pattern"),
        ("Bank", "", "at least 1 character"),
    ],
)
def test_a_value_outside_the_domain_is_refused_by_name(call: Client, field: str, value: Any, said: str) -> None:
    answer = call("POST", "/predict", json=with_field(field, value))
    assert answer.status_code == 422
    problems = answer.json()["detail"]
    assert {problem["loc"][1] for problem in problems} == {field}
    assert any(said in problem["msg"] for problem in problems), problems


def test_every_missing_field_is_named(call: Client) -> None:
    answer = call("POST", "/predict", json={})
    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", name] for name in FIELDS]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"Term": NaN}', b'{"longitude": Infinity}'])
def test_a_body_that_is_no_application_gets_422_and_valid_json(call: Client, body: bytes) -> None:
    answer = call("POST", "/predict", content=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_a_body_larger_than_any_batch_is_refused_unread(call: Client) -> None:
    assert call("POST", "/predict/batch", content=b" " * (1 << 20) + b"{}").status_code == 413


def test_a_batch_answers_as_its_applications_one_by_one(call: Client) -> None:
    batch = call("POST", "/predict/batch", json={"applications": EXAMPLES})
    alone = [call("POST", "/predict", json=example).json()["default_probability"] for example in EXAMPLES]
    assert batch.json() == {"default_probabilities": alone}


def test_a_batch_has_a_first_and_a_last_size(call: Client) -> None:
    def sent(count: int) -> int:
        return call("POST", "/predict/batch", json={"applications": [FIRST] * count}).status_code

    assert [sent(0), sent(1), sent(MAX_BATCH), sent(MAX_BATCH + 1)] == [422, 200, 200, 422]


def test_every_answer_says_which_instance_gave_it(call: Client) -> None:
    answers = [call("GET", "/"), call("POST", "/predict", json=FIRST), call("POST", "/predict", json={})]
    (instance,) = {answer.headers["x-instance-id"] for answer in answers}
    ages_ms = [int(answer.headers["x-instance-age-ms"]) for answer in answers]
    assert instance
    assert ages_ms == sorted(ages_ms)
    assert ages_ms[0] >= 0


def test_a_prediction_says_how_long_the_model_took(call: Client) -> None:
    name, _, value = call("POST", "/predict", json=FIRST).headers["server-timing"].partition(";dur=")
    assert name == "predict"
    assert float(value) > 0


def test_the_counts_are_of_what_was_answered_and_not_of_who_asks_for_them(call: Client) -> None:
    call("POST", "/predict", json=FIRST)  # 1 request, 1 prediction
    call("POST", "/predict", json={})  # 1 request, refused
    call("POST", "/predict/batch", json={"applications": EXAMPLES})  # 1 request, 2 predictions
    call("GET", "/nowhere")  # 1 request
    call("GET", "/healthz")
    call("GET", "/stats")
    assert call("GET", "/stats").json() == {"requests": 4, "predictions": 3, "in_flight_max": 1}


def test_try_it_out_answers_200(call: Client) -> None:
    """The OpenAPI page fills the body with the schema's first example."""
    page = call("GET", "/openapi.json").json()
    tried = 0
    for path, operations in page["paths"].items():
        if "post" not in operations:
            continue
        reference = operations["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = page["components"]["schemas"][reference.rsplit("/", 1)[1]]
        for example in schema["examples"]:
            assert call("POST", path, content=json.dumps(example).encode()).status_code == 200
            tried += 1
    assert tried == 3  # two applications and a batch
    assert call("GET", "/docs").status_code == 200


def test_what_it_is_and_that_it_is_well(call: Client) -> None:
    assert "POST /predict" in call("GET", "/").text
    assert call("GET", "/healthz").json() == {"status": "ok"}
    assert call("GET", "/predict").status_code == 405
