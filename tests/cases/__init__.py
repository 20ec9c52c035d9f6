"""Small inputs that once went wrong, each with what is expected of it."""
