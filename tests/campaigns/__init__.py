"""Campaigns: programs that test the whole system with random faults for minutes to hours.

Each is a command, `python -m tests.campaigns.NAME`; exit code 0 means that it passed. `make
test-campaigns` runs a short form of each.
"""
