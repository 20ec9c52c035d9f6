"""Use Google's APIs to deploy, describe, price, authenticate and fetch metrics. No other package uses these APIs."""
