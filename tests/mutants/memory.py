"""A plugin of pytest that bounds its memory: a defect in a size could take all of the machine's."""

import resource

BYTES = 4 << 30

resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
