"""Exit codes of the program; docs and scripts know them by number."""

DONE = 0
"""All done."""
SOME_FAILED = 1
"""Done, but some slides failed, some files are damaged, or some targets have labels of one class
alone and no validation; they are listed."""
NOT_STARTED = 2
"""Could not start; one line on stderr says what is wrong and what to do."""
INTERRUPTED = 130
"""Ctrl-C; the same command goes on."""
