"""``python -m benchmarks.audit_mutations ROOT``, as `measure` says, which worker processes import by its name."""

import sys

from benchmarks.audit_mutations.measure import main

if __name__ == "__main__":
    sys.exit(main())
