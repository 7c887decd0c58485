"""``python -m newscaster``: the same as ``newscaster``."""

from newscaster.cli import main

if __name__ == "__main__":
    main()
