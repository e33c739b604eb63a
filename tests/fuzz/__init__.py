"""Fuzzing of both ends; what they share is the corpus derived from the schema (docs/fuzzing.md)."""
