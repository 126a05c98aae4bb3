"""``python -m host``."""

# Processes that this program starts import this file under another name, and need nothing of it.
if __name__ == "__main__":
    from golden.interruption import guard, run

    guard()  # before the imports, which take most of a short command's time

    from host.cli.main import main

    run(main)
