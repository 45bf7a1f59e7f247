"""`python -m benchmarks`. Fresh processes import this file too, so it does nothing by itself."""

if __name__ == "__main__":
    from benchmarks.run import main

    main()
