"""Write a scenario for any service from its OpenAPI document, and try it."""
