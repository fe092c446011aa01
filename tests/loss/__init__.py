"""The lossfinder: the real daemon and a real broker under a random schedule of faults. An oracle
knows what may be missing. Run it with `make lossfinder`; see docs/testing.md."""
