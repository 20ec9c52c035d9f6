"""The service under test: a loan-default model behind HTTP. The package contains no code for load testing."""
