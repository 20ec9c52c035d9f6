"""Train the model of the service: `python -m target_service.train`.

Without `--data`, the model learns from the fictitious loans of `synthetic.py`; with `--data SBAnational.csv`, it learns
from real loans. The command writes the model and, beside it, a JSON file with its metrics, its data source and the
versions of the packages.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from catboost import CatBoostClassifier, Pool
from catboost.utils import eval_metric

from target_service.model import MODEL_FILE
from target_service.preparation import read_loans
from target_service.schema import CATEGORICAL, FIELDS
from target_service.synthetic import draw_loans

SEED = 2023
LOANS = 20_000
TRAIN_RATIO = 0.9
"""The share of the loans, oldest first, from which the model learns; the metrics use the rest."""

PARAMETERS: dict[str, Any] = {
    "iterations": 150,
    "depth": 6,
    "learning_rate": 0.1,
    # No combinations of categorical columns: this makes the model 0.2 MB instead of 1.1 MB, and takes a third less CPU
    # per prediction.
    "max_ctr_complexity": 1,
    "random_seed": SEED,
    "thread_count": 1,  # the sum of floats depends on their order, and therefore on the number of threads
    "allow_writing_files": False,
    "verbose": False,
}


def train(loans: pd.DataFrame, *, parameters: dict[str, Any]) -> tuple[CatBoostClassifier, dict[str, Any]]:
    """Return the model, and its metrics on the newest tenth of the loans, which are not in its training data."""
    loans = loans.sort_values("approval_year", kind="stable")
    cut = int(len(loans) * TRAIN_RATIO)
    model = CatBoostClassifier(**parameters)
    model.fit(_pool(loans[:cut]))
    unseen = loans[cut:]
    raw = model.predict(_pool(unseen), prediction_type="RawFormulaVal")
    labels = unseen["defaulted"].to_numpy()
    metrics = {
        "loans_trained": cut,
        "loans_tested": len(unseen),
        "years_tested": [int(unseen["approval_year"].min()), int(unseen["approval_year"].max())],
        "default_ratio_tested": round(float(labels.mean()), 4),
        "roc_auc": round(eval_metric(labels, raw, "AUC")[0], 4),
        "pr_auc": round(eval_metric(labels, raw, "PRAUC:type=Classic")[0], 4),
        "log_loss": round(eval_metric(labels, raw, "Logloss")[0], 4),
    }
    return model, metrics


def save(model: CatBoostClassifier, path: Path) -> None:
    """Write the model file with only the trees and the classes.

    CatBoost stores its training parameters and history in the file as JSON, and parses the parameters again at every
    prediction, which takes 25 of the 50 µs of a prediction. Without these data, and without a date and a random id, the
    same training writes the same bytes.
    """
    notes = model.get_metadata()
    for name in set(notes.keys()) - {"class_params"}:
        del notes[name]
    model.save_model(str(path))


def _pool(loans: pd.DataFrame) -> Pool:
    return Pool(loans[list(FIELDS)], label=loans["defaulted"], cat_features=list(CATEGORICAL))


def main(arguments: list[str] | None = None) -> None:
    """Train with `arguments` (default: those of the process), write the model and its metrics, and print both names."""
    parser = argparse.ArgumentParser(prog="python -m target_service.train", description=__doc__)
    parser.add_argument("--data", type=Path, help="SBAnational.csv; without it the loans are fictitious")
    parser.add_argument(
        "--zip-codes", type=Path, help="GeoNames' US.txt; without it, each loan gets the centre of its state"
    )
    parser.add_argument("--out", type=Path, default=MODEL_FILE, help="path of the model file (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the fictitious loans and of the training")
    options = parser.parse_args(arguments)
    for file in (options.data, options.zip_codes):
        if file is not None and not file.is_file():
            parser.error(f"there is no file {file}")
    if options.data is None:
        loans = draw_loans(LOANS, seed=options.seed)
        source = f"made up: target_service/synthetic.py, {LOANS} loans, seed {options.seed}"
    else:
        loans = read_loans(options.data, zip_codes=options.zip_codes)
        source = options.data.name
    model, metrics = train(loans, parameters={**PARAMETERS, "random_seed": options.seed})
    save(model, options.out)
    card = {
        "data": source,
        "metrics": metrics,
        "parameters": {**PARAMETERS, "random_seed": options.seed},
        "versions": {name: version(name) for name in ("catboost", "numpy", "pandas")},
    }
    beside = options.out.with_suffix(".json")
    beside.write_text(json.dumps(card, indent=2) + "\n")
    print(f"{options.out} ({options.out.stat().st_size} bytes), {beside}")
    print(json.dumps(metrics))


if __name__ == "__main__":
    main()
