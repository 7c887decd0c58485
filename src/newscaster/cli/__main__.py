"""`python -m newscaster.cli`."""

from newscaster.cli import main

if __name__ == "__main__":
    main()
