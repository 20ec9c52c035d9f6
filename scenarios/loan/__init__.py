"""What the bundled scenarios share: loan applications, and the user who sends them."""
