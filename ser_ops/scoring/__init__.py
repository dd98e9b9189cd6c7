"""Millions of recordings to answers: a plan, parts that any process answers, Parquet."""
