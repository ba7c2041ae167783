"""Every limit of the store, each with its reason."""

SHARDS = 256  # part of every key: never to be changed (a cluster of 256 nodes is far away)

ENTRIES = 10_000  # of a transcript; the runtime then ends the session with a sentence
TRANSCRIPT_BYTES = 4 * 1024 * 1024  # likewise

RECORD_BYTES = 4 * 1024 * 1024  # a session or generic record: compiled flows are the largest, under 1 MiB
OUTCOME_BYTES = 256 * 1024  # what a repeated commit gets back: a view of the session
ENTRY_BYTES = 256 * 1024  # one entry: log lines shown in the chat are cut at 64 KiB by the agent
EFFECT_BYTES = 1024 * 1024  # an order is at most 60 kB; hooks get the names of a session
PROGRESS_BYTES = 16 * 1024  # telemetry: a line and a number
NAME_LENGTH = 200  # ids are 18 long, keys of generic records may be digests with a prefix
COMMIT_ID_BYTES = 512  # an answer id comes from callers

PROGRESS_ENTRIES = 200  # per session; older progress is of no use to anyone
PROGRESS_KEPT_MS = 24 * 3600 * 1000  # a stream nobody adds to goes away
PARKED_PER_SHARD = 1_000  # alarms kept; a store that is being scribbled over must not fill up with them

BATCH_CALLS = 512  # calls in one pipeline: 512 commits of 1 kB are 0.5 MB on the wire
BATCH_BYTES = 4 * 1024 * 1024  # a pipeline above this waits for the next one
IN_FLIGHT = 2  # pipelines at once: one is being fsynced while the next is packed
CALL_TIMEOUT_S = 20.0  # a disk can take seconds for an fsync during a rewrite of the file
CONNECT_TIMEOUT_S = 5.0
SWEEP_S = 5.0  # hints can be lost; every shard is looked at this often
WATCHED_PROGRESS = 100  # progress waiting for a slow watcher; the oldest is dropped
FREE_BYTES = 64 * 1024 * 1024  # below this the embedded store is not started
TAIL_BYTES = 1024 * 1024  # of a damaged end of the append-only file that is cut off by itself
REMEMBERED, REMEMBERED_BYTES = 1_000, 16 * 1024  # sessions that need not be read before a commit: 32 MB
