"""What every other package of the trainer uses: optional libraries, whole files, progress."""
