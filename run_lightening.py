"""The published entry point: `python run_lightening.py test --config ... --model.test_mode ...`."""

from no_time_to_train.__main__ import main

if __name__ == "__main__":
    main()
