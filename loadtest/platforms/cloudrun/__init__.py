"""Talk to Google's APIs: deploy, describe, price, authenticate, fetch metrics. No other package does."""
