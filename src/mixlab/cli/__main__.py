"""`python -m mixlab.cli`, for rules that know their Python and not its PATH."""

from mixlab.cli import main

if __name__ == "__main__":
    main()
