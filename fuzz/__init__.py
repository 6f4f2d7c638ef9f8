"""Fuzzing: broken and hostile bytes against everything that reads what strangers write. `python -m fuzz.run --help` says how to run it."""
