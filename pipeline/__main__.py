"""`python -m pipeline <command>`: one command per rule of the workflow."""

from pipeline.jobs.process import die_with_parent

if __name__ == "__main__":
    die_with_parent()  # before anything slow is imported: an orphan would overwrite new records

    from pipeline.cli import main

    main()
