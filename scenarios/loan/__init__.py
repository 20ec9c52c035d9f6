"""The shared parts of the bundled scenarios: loan applications, and the user who sends them."""
