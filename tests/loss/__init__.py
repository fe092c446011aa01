"""The lossfinder: the real daemon and a real broker under a random schedule of faults, and an
oracle that knows what may be missing. `make lossfinder`; how to read it: docs/testing.md."""
