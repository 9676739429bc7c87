"""Whether all is tested, or in some places a sample (``make test`` and ``make test-all``)."""

import os

ALL = os.environ.get('MMREFSEG_TEST_ALL', '') not in ('', '0')
