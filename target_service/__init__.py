"""The thing under test: a loan-default model behind HTTP. Knows nothing of load testing."""
