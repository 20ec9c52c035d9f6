"""The service under test: a loan-default model behind HTTP. It contains nothing about load testing."""
