"""Campaigns: programs that try the whole system under chance for minutes to hours.

Each is a command, `python -m tests.campaigns.NAME`, whose exit code says whether it passed.
`make test-campaigns` runs a short form of each.
"""
