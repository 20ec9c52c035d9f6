"""Small inputs that once gave a wrong result, each with the expected result."""
