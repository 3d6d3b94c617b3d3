"""Python client of Liquidstream."""
