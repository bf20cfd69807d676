"""Whole studies: from a recipe to statistics, interventions and a report.

A study is a follow-up (see `queries.followups`): a request of plain values and a function ``run``
that gives evidence, which is kept, loaded into the graph and run again like any other.
"""
