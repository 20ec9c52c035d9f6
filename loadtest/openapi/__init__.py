"""Write and try a scenario for any service from its OpenAPI document."""
