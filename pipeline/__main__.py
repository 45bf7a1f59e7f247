"""`python -m pipeline <command>`: one command per rule of the workflow."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
