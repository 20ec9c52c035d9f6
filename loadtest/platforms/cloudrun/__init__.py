"""Talk to Google's APIs: deploy, describe, price, authenticate, fetch metrics. The only room that does."""
