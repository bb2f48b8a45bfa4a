"""`python -m codeintel`."""

from codeintel.cli import main

if __name__ == "__main__":
    main()
